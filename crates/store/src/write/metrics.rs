//! Metric rows: at most one per training step.

use rusqlite::{ErrorCode, Transaction, params};

use crate::batch::MetricWrite;
use crate::error::StoreError;
use crate::rows::metric_digest;

/// Inserts a row if it comes from the newest attempt of the step.
pub(super) fn insert(transaction: &Transaction<'_>, write: &MetricWrite) -> Result<(), StoreError> {
    let MetricWrite { run, step, attempt, row } = write;
    let sql = "INSERT INTO metric (run, step, attempt, train_step, loss, learning_rate, grad_norm, tokens_so_far,
                                   tokens_per_second, digest)
               SELECT run, id, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 FROM step WHERE run = ?1 AND id = ?2 AND attempts = ?3";
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
        metric_digest(&run.to_string(), step.as_str(), *attempt, row),
    ]);
    match inserted {
        Ok(_) => Ok(()),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Err(StoreError::DuplicateMetric { run: *run, step: step.clone(), train_step: row.train_step })
        }
        Err(error) => Err(error.into()),
    }
}
