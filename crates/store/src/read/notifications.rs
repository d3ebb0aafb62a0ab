//! Ended runs that a notifier still has to be told about.

use jiff::Timestamp;

use stepwell_base::ids::RunId;

use super::reader::Reader;
use crate::decode::collect;
use crate::error::StoreError;

/// Most rows of one answer; the next engine finds the others.
const MOST: usize = 1000;

impl Reader {
    /// Ended runs without a notice, and when they ended; oldest first.
    pub fn untold_ends(&self) -> Result<Vec<(RunId, Timestamp)>, StoreError> {
        let sql = format!("SELECT run, at FROM notification ORDER BY at, run LIMIT {MOST}");
        self.query(|connection| collect(connection, &sql, []))
    }
}
