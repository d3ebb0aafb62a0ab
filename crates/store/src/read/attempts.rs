//! Attempts of a step and what they committed: checkpoints and metrics.

use rusqlite::params;
use serde_json::Value;

use stepwell_base::ids::{RunId, StepId};
use stepwell_base::protocol::MetricRow;
use stepwell_run::provenance::AttemptRecord;

use super::reader::Reader;
use crate::decode::{Json, collect, first};
use crate::error::StoreError;
use crate::rows::CheckpointRow;

impl Reader {
    /// The attempts of a step, oldest first.
    pub fn attempts(&self, run: RunId, step: &StepId) -> Result<Vec<AttemptRecord>, StoreError> {
        self.query(|connection| {
            let sql = "SELECT * FROM attempt WHERE run = ?1 AND step = ?2 ORDER BY attempt";
            collect(connection, sql, params![run.to_string(), step.as_str()])
        })
    }

    /// The build and machine that attempts ran on, by the digest in their rows.
    pub fn environment(&self, digest: &str) -> Result<Option<Value>, StoreError> {
        let sql = "SELECT body FROM environment WHERE digest = ?1";
        let found = self.query(|connection| first(connection, sql, [digest]))?;
        Ok(found.map(|Json(body)| body))
    }

    /// Committed checkpoints that were not rewound, newest first.
    pub fn checkpoints(&self, run: RunId, step: &StepId) -> Result<Vec<CheckpointRow>, StoreError> {
        self.query(|connection| {
            let sql = "SELECT * FROM checkpoint WHERE run = ?1 AND step = ?2 ORDER BY seq DESC";
            collect(connection, sql, params![run.to_string(), step.as_str()])
        })
    }

    /// Metrics of training steps after `after_step`, in order.
    pub fn metrics(&self, run: RunId, step: &StepId, after_step: u64) -> Result<Vec<MetricRow>, StoreError> {
        self.query(|connection| {
            let sql = "SELECT * FROM metric WHERE run = ?1 AND step = ?2 AND train_step > ?3 ORDER BY train_step";
            let after = i64::try_from(after_step).unwrap_or(i64::MAX);
            collect(connection, sql, params![run.to_string(), step.as_str(), after])
        })
    }

    /// The newest metric of a step.
    pub fn newest_metric(&self, run: RunId, step: &StepId) -> Result<Option<MetricRow>, StoreError> {
        let sql = "SELECT * FROM metric WHERE run = ?1 AND step = ?2 ORDER BY train_step DESC LIMIT 1";
        self.query(|connection| first(connection, sql, params![run.to_string(), step.as_str()]))
    }
}
