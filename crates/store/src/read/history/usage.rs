//! What attempts used.

use rusqlite::params;

use stepwell_base::ids::{RunId, StepId};

use crate::decode::{collect, first};
use crate::error::StoreError;
use crate::read::reader::Reader;
use crate::rows::UsageRow;

impl Reader {
    /// Measurements of all attempts of a step, oldest first: at most 720 of each.
    pub fn usage(&self, run: RunId, step: &StepId) -> Result<Vec<UsageRow>, StoreError> {
        let sql = "SELECT * FROM attempt_usage WHERE run = ?1 AND step = ?2 ORDER BY attempt, number";
        self.query(|connection| collect(connection, sql, params![run.to_string(), step.as_str()]))
    }

    /// Measurements of one attempt, oldest first: at most 720.
    pub fn usage_of(&self, run: RunId, step: &StepId, attempt: u32) -> Result<Vec<UsageRow>, StoreError> {
        let sql = "SELECT * FROM attempt_usage WHERE run = ?1 AND step = ?2 AND attempt = ?3 ORDER BY number";
        self.query(|connection| collect(connection, sql, params![run.to_string(), step.as_str(), attempt]))
    }

    /// The newest two measurements of the newest attempt that has one, newest first.
    pub fn newest_usage(&self, run: RunId, step: &StepId) -> Result<Vec<UsageRow>, StoreError> {
        let sql = "SELECT attempt FROM attempt_usage WHERE run = ?1 AND step = ?2 ORDER BY attempt DESC LIMIT 1";
        self.query(|connection| {
            let Some(attempt) = first::<u32>(connection, sql, params![run.to_string(), step.as_str()])? else {
                return Ok(Vec::new());
            };
            let sql = "SELECT * FROM attempt_usage WHERE run = ?1 AND step = ?2 AND attempt = ?3
                       ORDER BY number DESC LIMIT 2";
            collect(connection, sql, params![run.to_string(), step.as_str(), attempt])
        })
    }
}
