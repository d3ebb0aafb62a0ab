//! Texts that models wrote during their training.

use rusqlite::params;

use stepwell_base::ids::{RunId, StepId};

use crate::decode::{collect, first};
use crate::error::StoreError;
use crate::read::reader::Reader;
use crate::rows::SampleRow;

impl Reader {
    /// The texts of a step, in order of their training steps and prompts.
    pub fn samples(&self, run: RunId, step: &StepId) -> Result<Vec<SampleRow>, StoreError> {
        let sql = "SELECT * FROM sample WHERE run = ?1 AND step = ?2 ORDER BY train_step, number";
        self.query(|connection| collect(connection, sql, params![run.to_string(), step.as_str()]))
    }

    /// The texts of one training step, in order of the prompts.
    pub fn samples_at(&self, run: RunId, step: &StepId, train_step: u64) -> Result<Vec<SampleRow>, StoreError> {
        let sql = "SELECT * FROM sample WHERE run = ?1 AND step = ?2 AND train_step = ?3 ORDER BY number";
        let at = i64::try_from(train_step).unwrap_or(i64::MAX);
        self.query(|connection| collect(connection, sql, params![run.to_string(), step.as_str(), at]))
    }

    /// The training steps with texts, in order.
    pub fn sample_steps(&self, run: RunId, step: &StepId) -> Result<Vec<u64>, StoreError> {
        let sql = "SELECT DISTINCT train_step FROM sample WHERE run = ?1 AND step = ?2 ORDER BY train_step";
        self.query(|connection| collect(connection, sql, params![run.to_string(), step.as_str()]))
    }

    /// The newest training step with texts, up to `up_to`.
    pub fn newest_sample_step(&self, run: RunId, step: &StepId, up_to: Option<u64>) -> Result<Option<u64>, StoreError> {
        let sql = "SELECT train_step FROM sample WHERE run = ?1 AND step = ?2 AND train_step <= ?3
                   ORDER BY train_step DESC LIMIT 1";
        let up_to = up_to.map_or(i64::MAX, |up_to| i64::try_from(up_to).unwrap_or(i64::MAX));
        self.query(|connection| first(connection, sql, params![run.to_string(), step.as_str(), up_to]))
    }

    /// The steps of a run that have texts, in definition order.
    pub fn steps_with_samples(&self, run: RunId) -> Result<Vec<StepId>, StoreError> {
        let sql = "SELECT id FROM step WHERE run = ?1
                   AND EXISTS (SELECT 1 FROM sample WHERE sample.run = step.run AND sample.step = step.id)
                   ORDER BY position, item_index";
        self.query(|connection| collect(connection, sql, [run.to_string()]))
    }
}
