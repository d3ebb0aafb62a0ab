//! Attempts of a step and the checkpoints that they committed.

use std::collections::HashMap;
use std::ops::ControlFlow;

use rusqlite::params;
use serde_json::Value;

use stepwell_base::ids::{RunId, StepId};
use stepwell_run::provenance::AttemptRecord;

use crate::decode::{Json, collect, each, first};
use crate::error::StoreError;
use crate::read::reader::Reader;
use crate::rows::{CheckpointRow, EventRow};

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

    /// The event numbers of a run's checkpoints that were neither replaced nor rewound, and their permanence.
    pub fn kept_checkpoints(&self, run: RunId) -> Result<HashMap<i64, bool>, StoreError> {
        let sql = "SELECT seq, permanent FROM checkpoint WHERE run = ?1";
        let rows: Vec<(i64, bool)> = self.query(|connection| collect(connection, sql, [run.to_string()]))?;
        Ok(rows.into_iter().collect())
    }

    /// Passes the events that gave steps of a run a checkpoint to `see`, oldest first.
    pub fn each_checkpoint_event(&self, run: RunId, mut see: impl FnMut(EventRow)) -> Result<(), StoreError> {
        let sql = "SELECT * FROM event WHERE run = ?1 AND kind IN ('checkpoint_committed', 'checkpoint_adopted') ORDER BY seq";
        self.query(|connection| {
            each(connection, sql, [run.to_string()], |row| {
                see(row);
                ControlFlow::Continue(())
            })
        })
    }
}
