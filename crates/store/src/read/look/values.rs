//! One value of one step, in many runs.

use rusqlite::params;
use serde_json::Value;

use stepwell_base::ids::{RunId, StepId};

use crate::decode::{Json, collect};
use crate::error::StoreError;
use crate::read::reader::Reader;

impl Reader {
    /// The values of this name that the step gave in the given runs, with the kind of the step; for a fan-out, those of
    /// its children. A step that has no value `loss` counts with the loss of its newest checkpoint.
    pub fn values_of(
        &self,
        runs: &[RunId],
        step: &StepId,
        value: &str,
    ) -> Result<Vec<(RunId, String, Value)>, StoreError> {
        let sql = "WITH found AS (
                       SELECT run, kind, output_values, loss FROM step
                       WHERE run IN (SELECT value FROM json_each(?1)) AND id = ?2
                       UNION ALL
                       SELECT run, kind, output_values, loss FROM step
                       WHERE run IN (SELECT value FROM json_each(?1)) AND parent = ?2)
                   SELECT run, kind, coalesce(output_values -> ?3, iif(?3 = 'loss', json_quote(loss), NULL)) AS value
                   FROM found WHERE value IS NOT NULL AND value <> 'null'";
        let rows: Vec<(RunId, String, Json<Value>)> =
            self.query(|connection| collect(connection, sql, params![Json(runs), step.as_str(), value]))?;
        Ok(rows.into_iter().map(|(run, kind, Json(value))| (run, kind, value)).collect())
    }
}
