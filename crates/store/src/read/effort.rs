//! The work that runs have used, and the usual duration of steps.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rusqlite::params;

use stepwell_base::ids::RunId;

use super::reader::Reader;
use crate::decode::{collect, first};
use crate::error::StoreError;

/// Runs of a workflow, the asked one included, whose steps count toward usual durations.
const RUNS: i64 = 5;
/// Descendants of the run `?1`: its child runs, their child runs, and so on.
const DESCENDANTS: &str = "WITH RECURSIVE below(id) AS (
    SELECT id FROM run WHERE parent_run = ?1
    UNION ALL SELECT run.id FROM below CROSS JOIN run ON run.parent_run = below.id)";

impl Reader {
    /// Total work of all ended attempts. A fan-out's row already includes its children.
    pub fn compute(&self, run: RunId) -> Result<SignedDuration, StoreError> {
        self.query(|connection| {
            let sql = "SELECT coalesce(sum(compute_ms), 0) AS total FROM step WHERE run = ?1 AND parent IS NULL";
            let total: Option<i64> = first(connection, sql, [run.to_string()])?;
            Ok(SignedDuration::from_millis(total.unwrap_or(0)))
        })
    }

    /// The runs that the steps of a run started, the runs that their steps started, and so on.
    pub fn descendants(&self, run: RunId) -> Result<Vec<RunId>, StoreError> {
        let sql = format!("{DESCENDANTS} SELECT id FROM below");
        self.query(|connection| collect(connection, &sql, [run.to_string()]))
    }

    /// Like [`Reader::compute`], summed over all descendants of a run.
    pub fn compute_of_descendants(&self, run: RunId) -> Result<SignedDuration, StoreError> {
        self.query(|connection| {
            let sql = format!(
                "{DESCENDANTS} SELECT coalesce(sum(compute_ms), 0) AS total
                 FROM below CROSS JOIN step ON step.run = below.id AND step.parent IS NULL"
            );
            let total: Option<i64> = first(connection, &sql, [run.to_string()])?;
            Ok(SignedDuration::from_millis(total.unwrap_or(0)))
        })
    }

    /// Attempt start and lease end of each running attempt in the descendants of a run.
    pub fn leases_of_descendants(&self, run: RunId) -> Result<Vec<(Timestamp, Timestamp)>, StoreError> {
        self.query(|connection| {
            let sql = format!(
                "{DESCENDANTS} SELECT attempt_started_at, lease_expires_at FROM below CROSS JOIN step ON step.run = below.id
                 WHERE step.status = 'running'"
            );
            collect(connection, &sql, [run.to_string()])
        })
    }

    /// Average duration of equal steps, keyed by the step's position, over this run (children of a fan-out) and the
    /// newest earlier runs of the workflow.
    pub fn usual_durations(&self, run: RunId) -> Result<HashMap<usize, Duration>, StoreError> {
        self.query(|connection| {
            // A fan-out's row holds the sums of its children and has no attempts of its own.
            let sql = "WITH timed AS (
                           SELECT own.position,
                                  step.children_timed + (step.status = 'succeeded' AND step.attempts > 0) AS steps,
                                  step.children_timed_ms
                                      + iif(step.status = 'succeeded' AND step.attempts > 0, step.compute_ms, 0) AS ms
                           FROM (SELECT id FROM run WHERE workflow = (SELECT workflow FROM run WHERE id = ?1)
                                 AND id <= ?1 ORDER BY id DESC LIMIT ?2) AS earlier
                           CROSS JOIN step ON step.run = earlier.id AND step.parent IS NULL
                           CROSS JOIN step AS own ON own.run = ?1 AND own.position = step.position
                                                     AND own.parent IS NULL AND own.kind = step.kind)
                       SELECT position, sum(ms) * 1.0 / sum(steps) AS average FROM timed
                       GROUP BY position HAVING sum(steps) > 0";
            let rows: Vec<(i64, f64)> = collect(connection, sql, params![run.to_string(), RUNS])?;
            let usual = rows.into_iter().filter_map(|(position, milliseconds)| {
                let duration = Duration::try_from_secs_f64(milliseconds / 1000.0).ok()?;
                Some((usize::try_from(position).ok()?, duration))
            });
            Ok(usual.collect())
        })
    }
}
