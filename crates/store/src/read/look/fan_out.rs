//! The children of a fan-out, of which there may be 100,000.

use rusqlite::params;

use stepwell_base::ids::{RunId, StepId};
use stepwell_run::status::StepStatus;

use crate::decode::collect;
use crate::error::StoreError;
use crate::read::reader::Reader;
use crate::rows::{StepRow, steps_where};

impl Reader {
    /// At most `most` children of a fan-out, by position and without artifacts: those that failed, then those at work,
    /// then the first ones.
    pub fn children_to_look_at(&self, run: RunId, parent: &StepId, most: usize) -> Result<Vec<StepRow>, StoreError> {
        let sql = steps_where(
            "run = ?1 AND parent = ?2 ORDER BY
                 CASE status WHEN 'failed' THEN 0 WHEN 'running' THEN 1 WHEN 'waiting' THEN 1 ELSE 2 END, item_index
             LIMIT ?3",
        );
        let values = params![run.to_string(), parent.as_str(), i64::try_from(most).unwrap_or(i64::MAX)];
        let mut children: Vec<StepRow> = self.query(|connection| collect(connection, &sql, values))?;
        children.sort_by_key(|child| child.item_index);
        Ok(children)
    }

    /// The number of children of a fan-out in each status.
    pub fn children_by_status(&self, run: RunId, parent: &StepId) -> Result<Vec<(StepStatus, u64)>, StoreError> {
        let sql = "SELECT status, count(*) FROM step WHERE run = ?1 AND parent = ?2 GROUP BY status ORDER BY status";
        self.query(|connection| collect(connection, sql, params![run.to_string(), parent.as_str()]))
    }
}
