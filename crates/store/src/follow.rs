//! Queries that a follower repeats several times per second, so they read running work, not history.

use rusqlite::params;

use stepwell_base::ids::{RunId, StepId};
use stepwell_base::protocol::MetricRow;
use stepwell_run::status::StepStatus;

use super::decode::{self, collect, first};
use super::error::StoreError;
use super::reader::Reader;
use super::rows::{AttemptedStep, StepRow};

impl Reader {
    /// Steps with a running attempt, without their outputs.
    pub fn running_steps(&self, run: RunId) -> Result<Vec<StepRow>, StoreError> {
        let sql = decode::steps_where("run = ?1 AND status = 'running' ORDER BY position, item_index");
        self.ask(|connection| collect(connection, &sql, [run.to_string()], decode::step))
    }

    /// The newest metric of a step.
    pub fn newest_metric(&self, run: RunId, step: &StepId) -> Result<Option<MetricRow>, StoreError> {
        let sql = "SELECT * FROM metric WHERE run = ?1 AND step = ?2 ORDER BY train_step DESC LIMIT 1";
        self.ask(|connection| first(connection, sql, params![run.to_string(), step.as_str()], decode::metric))
    }

    /// Steps that had attempts, in definition order; only `step` if given.
    pub fn attempted_steps(&self, run: RunId, step: Option<&StepId>) -> Result<Vec<AttemptedStep>, StoreError> {
        let one = if step.is_some() { "id = ?2" } else { "?2 IS NULL" };
        let sql = format!(
            "SELECT id, attempts, status FROM step WHERE run = ?1 AND {one} AND attempts > 0
             ORDER BY position, item_index"
        );
        self.ask(|connection| {
            collect(connection, &sql, params![run.to_string(), step.map(StepId::as_str)], |row| {
                Ok(AttemptedStep {
                    id: StepId(decode::get(row, "id")?),
                    attempts: decode::get(row, "attempts")?,
                    is_running: decode::parse::<StepStatus>(row, "status")? == StepStatus::Running,
                })
            })
        })
    }
}
