//! The size of ranges of series.

use rusqlite::params;

use stepwell_base::ids::{RunId, StepId};

use crate::decode::first;
use crate::error::StoreError;
use crate::read::reader::Reader;
use crate::series::SeriesRange;

impl Reader {
    /// The number of rows in a range of a series, but at most `most`.
    pub fn count_rows(&self, (run, step): (RunId, &StepId), range: SeriesRange, most: u64) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM (SELECT 1 FROM metric WHERE run = ?1 AND step = ?2 AND train_step > ?3
                                         AND train_step <= ?4 LIMIT ?5)";
        let (after, up_to) = range.signed();
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let values = params![run.to_string(), step.as_str(), after, up_to, most];
        self.query(|connection| Ok(first::<u64>(connection, sql, values)?.unwrap_or(0)))
    }
}
