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

    /// Where attempts of a step began to report: each attempt that has rows, with its first training step. Looks at a few
    /// rows per attempt, however long the series is.
    pub fn attempt_starts(&self, run: RunId, step: &StepId) -> Result<Vec<(u32, u64)>, StoreError> {
        // Rows of an attempt follow those of earlier ones: a rewind removes what comes after.
        let ends = "SELECT attempt, train_step FROM metric WHERE run = ?1 AND step = ?2 ORDER BY train_step";
        let at = "SELECT attempt, train_step FROM metric WHERE run = ?1 AND step = ?2 AND train_step >= ?3 ORDER BY train_step LIMIT 1";
        let key = run.to_string();
        self.query(|connection| {
            let one = |sql: &str| -> Result<Option<(u32, u64)>, StoreError> {
                Ok(collect(connection, sql, params![key, step.as_str()])?.into_iter().next())
            };
            let (Some(start), Some(last)) = (one(&format!("{ends} LIMIT 1"))?, one(&format!("{ends} DESC LIMIT 1"))?)
            else {
                return Ok(Vec::new());
            };
            let mut starts = vec![start];
            while let Some((attempt, from)) = starts.last().copied().filter(|(attempt, _)| *attempt < last.0) {
                let (mut low, mut high, mut found) = (from, last.1, last);
                while low < high {
                    let middle = low + (high - low) / 2;
                    let signed = i64::try_from(middle).unwrap_or(i64::MAX);
                    let row: Vec<(u32, u64)> = collect(connection, at, params![key, step.as_str(), signed])?;
                    match row.first() {
                        Some(row) if row.0 > attempt => (high, found) = (middle, *row),
                        _ => low = middle + 1,
                    }
                }
                starts.push(found);
            }
            Ok(starts)
        })
    }
}
