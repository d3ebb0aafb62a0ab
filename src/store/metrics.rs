//! Metric rows: one per training step, never two.

use rusqlite::{ErrorCode, Transaction, params};

use super::batch::MetricWrite;
use super::error::StoreError;

/// Inserts a row; false when it comes from an attempt that is not the step's newest.
pub(super) fn insert(transaction: &Transaction<'_>, write: &MetricWrite) -> Result<bool, StoreError> {
    let MetricWrite { run, step, attempt, row } = write;
    let sql = "INSERT INTO metric (run, step, attempt, train_step, loss, learning_rate, grad_norm, tokens_so_far,
                                   tokens_per_second)
               SELECT run, id, ?3, ?4, ?5, ?6, ?7, ?8, ?9 FROM step WHERE run = ?1 AND id = ?2 AND attempts = ?3";
    let inserted = transaction.prepare_cached(sql)?.execute(params![
        run.to_string(),
        step.as_str(),
        attempt,
        row.train_step.cast_signed(),
        row.loss,
        row.learning_rate,
        row.grad_norm,
        row.tokens_so_far.cast_signed(),
        row.tokens_per_second,
    ]);
    match inserted {
        Ok(count) => Ok(count == 1),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Err(StoreError::DuplicateMetric { run: *run, step: step.clone(), train_step: row.train_step })
        }
        Err(error) => Err(error.into()),
    }
}
