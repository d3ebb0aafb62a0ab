//! Texts that models wrote during their training. The event log does not contain them, so each has a digest of its own.

use rusqlite::Row;

use stepwell_base::ids::StepId;
use stepwell_base::protocol::SampleText;

use crate::decode::{FromRow, columns};
use crate::error::StoreError;

/// A text and the training step whose weights wrote it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SampleRow {
    pub train_step: u64,
    /// Place among the prompts.
    pub number: u32,
    pub prompt: String,
    /// The continuation of the prompt.
    pub text: String,
}

columns! {
    pub(crate) struct SampleColumns { run, step, train_step, number, attempt, prompt, text, digest }
}

/// Decodes a row and verifies its digest.
impl FromRow for SampleRow {
    type Columns = SampleColumns;

    fn from_row(row: &Row<'_>, columns: &SampleColumns) -> Result<SampleRow, StoreError> {
        let (train_step, number) = (columns.train_step.get(row)?, columns.number.get(row)?);
        let sample = SampleText { prompt: columns.prompt.get(row)?, text: columns.text.get(row)? };
        let (run, step, attempt) = (columns.run.text(row)?, columns.step.text(row)?, columns.attempt.get(row)?);
        if columns.digest.get::<i64>(row)? != digest((run, step, attempt), (train_step, number), &sample) {
            let (run, step) = (columns.run.get(row)?, StepId::from(step));
            return Err(StoreError::DamagedSample { run, step, train_step });
        }
        let SampleText { prompt, text } = sample;
        Ok(SampleRow { train_step, number, prompt, text })
    }
}

/// 64 bits of BLAKE3 over a whole row.
pub(crate) fn digest(
    (run, step, attempt): (&str, &str, u32),
    (train_step, number): (u64, u32),
    sample: &SampleText,
) -> i64 {
    let mut hasher = blake3::Hasher::new();
    for text in [run, step, &sample.prompt, &sample.text] {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    for word in [u64::from(attempt), train_step, u64::from(number)] {
        hasher.update(&word.to_le_bytes());
    }
    let mut word = [0; 8];
    word.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    i64::from_le_bytes(word)
}
