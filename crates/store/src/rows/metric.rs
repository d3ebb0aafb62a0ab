//! Rows of metrics. The event log does not contain them, so each has a digest of its own.

use rusqlite::Row;

use stepwell_base::ids::StepId;
use stepwell_base::protocol::MetricRow;

use crate::decode::{FromRow, NanAsNull, columns};
use crate::error::StoreError;

columns! {
    pub(crate) struct MetricColumns {
        run, step, attempt, train_step, loss, learning_rate, grad_norm, tokens_so_far, tokens_per_second, digest,
    }
}

/// Decodes a metric and verifies its digest. Rows of schema 2 and older have none.
impl FromRow for MetricRow {
    type Columns = MetricColumns;

    fn from_row(row: &Row<'_>, columns: &MetricColumns) -> Result<MetricRow, StoreError> {
        let NanAsNull(loss) = columns.loss.get(row)?;
        let NanAsNull(learning_rate) = columns.learning_rate.get(row)?;
        let NanAsNull(grad_norm) = columns.grad_norm.get(row)?;
        let NanAsNull(tokens_per_second) = columns.tokens_per_second.get(row)?;
        let found = MetricRow {
            train_step: columns.train_step.get(row)?,
            loss,
            z_loss: None,
            learning_rate,
            grad_norm,
            tokens_so_far: columns.tokens_so_far.get(row)?,
            tokens_per_second,
        };
        let (run, step) = (columns.run.text(row)?, columns.step.text(row)?);
        if let Some(stored) = columns.digest.get::<Option<i64>>(row)?
            && stored != digest(run, step, columns.attempt.get(row).unwrap_or(0), &found)
        {
            let (run, step) = (columns.run.get(row)?, StepId::from(step));
            return Err(StoreError::DamagedMetric { run, step, train_step: found.train_step });
        }
        Ok(found)
    }
}

/// 64 bits of BLAKE3 over a whole row.
pub(crate) fn digest(run: &str, step: &str, attempt: u32, row: &MetricRow) -> i64 {
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
