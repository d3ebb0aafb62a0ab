//! Content that steps produced and content that they read.

use std::ops::ControlFlow;

use serde_json::Value;
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::ids::{RunId, StepId};

use super::reader::Reader;
use crate::decode::{Json, collect, each};
use crate::error::StoreError;
use crate::rows::NamedArtifact;

impl Reader {
    /// Step outputs, sorted by run (newest first), step and name; of one run or of all.
    pub fn artifacts(&self, run: Option<RunId>) -> Result<Vec<(StepId, String, ArtifactRef)>, StoreError> {
        self.query(|connection| {
            let sql = "SELECT step_output.* FROM step_output JOIN step ON step.run = step_output.run AND step.id = step
                       WHERE ?1 IS NULL OR step_output.run = ?1
                       ORDER BY step_output.run DESC, position, item_index, name";
            let rows: Vec<NamedArtifact> = collect(connection, sql, [run.map(|run| run.to_string())])?;
            Ok(rows.into_iter().map(|NamedArtifact { step, name, artifact }| (step, name, artifact)).collect())
        })
    }

    /// Passes the resolved arguments of every step to `see`, one step at a time. They name the content that each step
    /// reads.
    pub fn each_arguments(&self, mut see: impl FnMut(RunId, &Value)) -> Result<(), StoreError> {
        let sql = "SELECT run, arguments FROM step WHERE arguments IS NOT NULL";
        self.query(|connection| {
            each(connection, sql, [], |(run, Json(arguments)): (RunId, Json<Value>)| {
                see(run, &arguments);
                ControlFlow::Continue(())
            })
        })
    }
}
