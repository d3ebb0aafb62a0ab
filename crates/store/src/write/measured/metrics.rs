//! Metric rows: at most one per training step.

use rusqlite::{ErrorCode, Transaction, params};

use crate::batch::MetricWrite;
use crate::error::StoreError;
use crate::rows::{StoredMetric, metric_digest};

/// Inserts a row if it comes from the newest attempt of the step.
pub(in crate::write) fn insert(transaction: &Transaction<'_>, write: &MetricWrite) -> Result<(), StoreError> {
    let MetricWrite { run, step, attempt, row } = write;
    let stored = StoredMetric::of_training(row)?;
    match put(transaction, "INSERT", (&run.to_string(), step.as_str(), *attempt), &stored) {
        Err(StoreError::Sqlite(error)) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Err(StoreError::DuplicateMetric { run: *run, step: step.clone(), train_step: row.train_step })
        }
        done => done,
    }
}

/// Writes a row with `verb`, which is `INSERT` or `REPLACE`, if the attempt is the newest of the step.
pub(super) fn put(
    transaction: &Transaction<'_>,
    verb: &str,
    (run, step, attempt): (&str, &str, u32),
    row: &StoredMetric,
) -> Result<(), StoreError> {
    let sql = format!(
        "{verb} INTO metric (run, step, attempt, train_step, loss, learning_rate, grad_norm, tokens_so_far,
                             tokens_per_second, more, digest, data_wait_seconds, memory_bytes, mfu)
         SELECT run, id, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14 FROM step WHERE run = ?1 AND id = ?2 AND attempts = ?3"
    );
    transaction.prepare_cached(&sql)?.execute(params![
        run,
        step,
        attempt,
        row.train_step.cast_signed(),
        row.loss,
        row.learning_rate,
        row.grad_norm,
        row.tokens_so_far.cast_signed(),
        row.tokens_per_second,
        row.more,
        metric_digest(run, step, attempt, row),
        row.data_wait_seconds,
        row.memory_bytes.map(u64::cast_signed),
        row.mfu,
    ])?;
    Ok(())
}
