//! Metric rows: at most one per training step.

use rusqlite::{Connection, ErrorCode, Transaction, params};

use stepwell_base::protocol::MetricRow;

use super::batch::MetricWrite;
use super::decode;
use super::error::StoreError;

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
        digest(&run.to_string(), step.as_str(), *attempt, row),
    ]);
    match inserted {
        Ok(_) => Ok(()),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Err(StoreError::DuplicateMetric { run: *run, step: step.clone(), train_step: row.train_step })
        }
        Err(error) => Err(error.into()),
    }
}

/// 64 bits of BLAKE3 over a whole row; protects metrics, which the event log does not contain.
pub(super) fn digest(run: &str, step: &str, attempt: u32, row: &MetricRow) -> i64 {
    let mut hasher = blake3::Hasher::new();
    for text in [run, step] {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    let counts = [u64::from(attempt), row.train_step, row.tokens_so_far];
    let measured = [row.loss, row.learning_rate, row.grad_norm, row.tokens_per_second];
    // SQLite keeps neither the kinds of NaN nor the sign of zero.
    let measured = measured.map(|value| if value.is_nan() { f64::NAN.to_bits() } else { (value + 0.0).to_bits() });
    for word in counts.into_iter().chain(measured) {
        hasher.update(&word.to_le_bytes());
    }
    let mut word = [0; 8];
    word.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    i64::from_le_bytes(word)
}

/// Reads every metric and returns an error for each damaged one.
pub(super) fn damaged(connection: &Connection) -> Result<Vec<StoreError>, StoreError> {
    let mut statement = connection.prepare("SELECT * FROM metric")?;
    let mut rows = statement.query([])?;
    let mut damaged = Vec::new();
    while let Some(row) = rows.next()? {
        damaged.extend(decode::metric(row).err());
    }
    Ok(damaged)
}
