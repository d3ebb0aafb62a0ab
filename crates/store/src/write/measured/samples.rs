//! Texts that a model wrote during its training.

use rusqlite::{Transaction, params};

use stepwell_base::protocol::{SampleText, Samples};

use crate::error::StoreError;
use crate::rows::sample_digest;

/// Writes the texts of a training step, in place of earlier ones, if the attempt is the newest of the step.
pub(super) fn put(
    transaction: &Transaction<'_>,
    (run, step, attempt): (&str, &str, u32),
    samples: &Samples,
) -> Result<(), StoreError> {
    let sql = "REPLACE INTO sample (run, step, train_step, number, attempt, prompt, text, digest)
               SELECT run, id, ?4, ?5, ?3, ?6, ?7, ?8 FROM step WHERE run = ?1 AND id = ?2 AND attempts = ?3";
    for (number, sample) in (0..).zip(&samples.texts) {
        let SampleText { prompt, text } = sample;
        let digest = sample_digest((run, step, attempt), (samples.train_step, number), sample);
        let train_step = samples.train_step.cast_signed();
        let values = params![run, step, attempt, train_step, number, prompt, text, digest];
        transaction.prepare_cached(sql)?.execute(values)?;
    }
    Ok(())
}

/// Removes the texts from a training step on, if the attempt is the newest of the step.
pub(super) fn void(
    transaction: &Transaction<'_>,
    (run, step, attempt): (&str, &str, u32),
    from: u64,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM sample WHERE run = ?1 AND step = ?2 AND train_step >= ?3
               AND EXISTS (SELECT 1 FROM step WHERE run = ?1 AND id = ?2 AND attempts = ?4)";
    transaction.prepare_cached(sql)?.execute(params![run, step, from.cast_signed(), attempt])?;
    Ok(())
}
