//! Rows of series for pictures: every number by its name, without checking the digest of each row.

use rusqlite::params;

use stepwell_base::ids::{RunId, StepId};

use crate::decode::{collect, first};
use crate::error::StoreError;
use crate::read::reader::Reader;
use crate::rows::{NamedValue, RowMark, VALUES, add_values, mark};

impl Reader {
    /// Passes the rows after training step `after` and up to `up_to` to `see`, in order.
    pub fn each_series_row(
        &self,
        (run, step): (RunId, &StepId),
        (after, up_to): (Option<u64>, Option<u64>),
        mut see: impl FnMut(RowMark, &[NamedValue]),
    ) -> Result<(), StoreError> {
        let sql = format!(
            "SELECT {VALUES} FROM metric WHERE run = ?1 AND step = ?2 AND train_step > ?3 AND train_step <= ?4
             ORDER BY train_step"
        );
        let signed = |step: u64| i64::try_from(step).unwrap_or(i64::MAX);
        let (after, up_to) = (after.map_or(-1, signed), up_to.map_or(i64::MAX, signed));
        self.query(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![run.to_string(), step.as_str(), after, up_to])?;
            let mut values = Vec::new();
            while let Some(row) = rows.next()? {
                values.clear();
                add_values(row, &mut values)?;
                see(mark(row)?, &values);
            }
            Ok(())
        })
    }

    /// The mark of the row of a training step; `None` if there is no such row (any more).
    pub fn row_mark(&self, run: RunId, step: &StepId, train_step: u64) -> Result<Option<RowMark>, StoreError> {
        let sql = "SELECT coalesce(digest, 0) AS digest FROM metric WHERE run = ?1 AND step = ?2 AND train_step = ?3";
        let values = params![run.to_string(), step.as_str(), train_step.cast_signed()];
        let found: Option<i64> = self.query(|connection| first(connection, sql, values))?;
        Ok(found.map(|digest| RowMark { train_step, digest }))
    }

    /// The number of rows after training step `after` and up to `up_to`, but at most `most`.
    pub fn count_rows(
        &self,
        (run, step): (RunId, &StepId),
        (after, up_to): (Option<u64>, Option<u64>),
        most: u64,
    ) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM (SELECT 1 FROM metric WHERE run = ?1 AND step = ?2 AND train_step > ?3
                                         AND train_step <= ?4 LIMIT ?5)";
        let signed = |step: u64| i64::try_from(step).unwrap_or(i64::MAX);
        let (after, up_to) = (after.map_or(-1, signed), up_to.map_or(i64::MAX, signed));
        let values = params![run.to_string(), step.as_str(), after, up_to, signed(most)];
        let found: Vec<u64> = self.query(|connection| collect(connection, sql, values))?;
        Ok(found.into_iter().sum())
    }
}
