//! Parts of the workflow that a run pinned, without the rest, which may be megabytes.

use std::collections::HashMap;
use std::time::Duration;

use stepwell_base::ids::{RunId, StepId};
use stepwell_workflow::budget::{Budget, Sla};

use crate::decode::{Json, collect};
use crate::error::StoreError;
use crate::read::reader::Reader;

/// What a workflow allows its runs.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct RunLimits {
    /// As submitted: an event may have raised it.
    pub budget: Budget,
    pub sla: Option<Sla>,
}

impl Reader {
    /// The limits of a run. Unlike [`Reader::spec`], does not check the digest of the workflow.
    ///
    /// # Errors
    /// `UnknownRun`.
    pub fn limits_of(&self, run: RunId) -> Result<RunLimits, StoreError> {
        type Row = (Option<Json<Budget>>, Option<Json<Sla>>);
        let sql = "SELECT spec -> '$.budget', spec -> '$.sla' FROM run WHERE id = ?1";
        let found: Vec<Row> = self.query(|connection| collect(connection, sql, [run.to_string()]))?;
        let (budget, sla) = found.into_iter().next().ok_or_else(|| StoreError::UnknownRun { text: run.to_string() })?;
        Ok(RunLimits { budget: budget.map(|Json(budget)| budget).unwrap_or_default(), sla: sla.map(|Json(sla)| sla) })
    }

    /// Length of the lease of each running step. Like [`Reader::limits_of`], does not check the digest.
    pub fn heartbeats(&self, run: RunId) -> Result<HashMap<StepId, Duration>, StoreError> {
        // A step has the position of its definition, a child that of its fan-out. SQLite parses the text once.
        let sql = "SELECT step.id, run.spec -> ('$.steps[' || step.position || '].timeout.heartbeat')
                   FROM run CROSS JOIN step ON step.run = run.id
                   WHERE run.id = ?1 AND step.status = 'running'";
        let rows: Vec<(StepId, Option<Json<Duration>>)> =
            self.query(|connection| collect(connection, sql, [run.to_string()]))?;
        Ok(rows.into_iter().filter_map(|(step, heartbeat)| Some((step, heartbeat?.0))).collect())
    }
}
