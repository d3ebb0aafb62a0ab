//! What programs report: rows that later lines add to, in the table of metrics.

use rusqlite::{Transaction, params};

use stepwell_base::protocol::SeriesChange;

use super::{metrics, samples};
use crate::batch::SeriesWrite;
use crate::decode::first;
use crate::error::StoreError;
use crate::rows::StoredMetric;

/// Applies a change if it comes from the newest attempt of the step.
pub(in crate::write) fn write(transaction: &Transaction<'_>, write: &SeriesWrite) -> Result<(), StoreError> {
    let (run, step) = (write.run.to_string(), write.step.as_str());
    match &write.change {
        SeriesChange::Void { from } => {
            let sql = "DELETE FROM metric WHERE run = ?1 AND step = ?2 AND train_step >= ?3
                       AND EXISTS (SELECT 1 FROM step WHERE run = ?1 AND id = ?2 AND attempts = ?4)";
            let values = params![run, step, from.cast_signed(), write.attempt];
            transaction.prepare_cached(sql)?.execute(values)?;
            samples::void(transaction, (&run, step, write.attempt), *from)
        }
        SeriesChange::Add(measured) => {
            let sql = "SELECT * FROM metric WHERE run = ?1 AND step = ?2 AND train_step = ?3";
            let key = params![run, step, measured.train_step.cast_signed()];
            let row = match first::<StoredMetric>(transaction, sql, key) {
                Ok(None) => StoredMetric::of_command(measured)?,
                Ok(Some(row)) => row.with(measured)?,
                // A new digest would hide the damage; `db check` finds it.
                Err(StoreError::DamagedMetric { .. }) => return Ok(()),
                Err(error) => return Err(error),
            };
            metrics::put(transaction, "REPLACE", (&run, step, write.attempt), &row)
        }
        SeriesChange::Samples(written) => samples::put(transaction, (&run, step, write.attempt), written),
    }
}
