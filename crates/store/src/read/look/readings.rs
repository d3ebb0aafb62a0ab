//! Numbers for the health of a run that works. Reads a bounded number of rows, however long the run is.

use rusqlite::{Connection, params};

use jiff::Timestamp;

use stepwell_base::ids::RunId;
use stepwell_base::protocol::Measurement;
use stepwell_run::health::{MOST_CHECKPOINTS, MOST_LOSSES, MOST_VALIDATIONS, StepReadings};

use crate::decode::{collect, first};
use crate::error::StoreError;
use crate::read::reader::Reader;
use crate::rows::{StepRow, steps_where};

/// Most running steps that are looked at.
const MOST_STEPS: usize = 50;
/// Newest rows of a step among which the validations are looked for.
const WINDOW: i64 = 20_000;
const LOSS: &str = "loss";
const VALIDATION: &str = "val_loss";

impl Reader {
    /// What the running steps of a run have reported lately.
    ///
    /// # Errors
    /// `DamagedMetric`.
    pub fn health_readings(&self, run: RunId) -> Result<Vec<StepReadings>, StoreError> {
        let sql =
            steps_where(&format!("run = ?1 AND status = 'running' ORDER BY position, item_index LIMIT {MOST_STEPS}"));
        self.query(|connection| {
            let steps: Vec<StepRow> = collect(connection, &sql, [run.to_string()])?;
            steps.into_iter().map(|step| readings(connection, run, step)).collect()
        })
    }
}

fn readings(connection: &Connection, run: RunId, step: StepRow) -> Result<StepReadings, StoreError> {
    let started_at = step.attempt_started_at.or(step.started_at).unwrap_or(Timestamp::MAX);
    let (key, name) = (run.to_string(), step.id.as_str());
    let sql = "SELECT * FROM metric WHERE run = ?1 AND step = ?2 ORDER BY train_step DESC LIMIT ?3";
    let newest = collect(connection, sql, params![key, name, bound(MOST_LOSSES)])?;
    let sql = "SELECT * FROM (SELECT * FROM metric WHERE run = ?1 AND step = ?2 ORDER BY train_step DESC LIMIT ?3)
               WHERE instr(more, '\"val_loss\"') LIMIT ?4";
    let validated = collect(connection, sql, params![key, name, WINDOW, bound(MOST_VALIDATIONS)])?;
    let sql = "SELECT at FROM checkpoint WHERE run = ?1 AND step = ?2 ORDER BY seq DESC LIMIT ?3";
    let mut checkpoints: Vec<Timestamp> = collect(connection, sql, params![key, name, bound(MOST_CHECKPOINTS)])?;
    checkpoints.reverse();
    let sql = "SELECT coalesce(size, 0) FROM checkpoint WHERE run = ?1 AND step = ?2 ORDER BY seq DESC LIMIT 1";
    let checkpoint_bytes: Option<u64> = first(connection, sql, params![key, name])?;
    Ok(StepReadings {
        progress: step.progress,
        losses: oldest_first(newest, LOSS),
        validations: oldest_first(validated, VALIDATION),
        checkpoints,
        checkpoint_bytes: checkpoint_bytes.unwrap_or(0),
        ..StepReadings::new(step.id, started_at)
    })
}

fn oldest_first(rows: Vec<Measurement>, name: &str) -> Vec<(u64, f64)> {
    rows.iter().rev().filter_map(|row| Some((row.train_step, *row.values.get(name)?))).collect()
}

fn bound(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}
