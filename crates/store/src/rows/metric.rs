//! Rows of metrics. The event log does not contain them, so each has a digest of its own.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rusqlite::Row;

use stepwell_base::ids::StepId;
use stepwell_base::json::{self, Limit};
use stepwell_base::protocol::{Measurement, MetricRow};

use crate::decode::{FromRow, Json, NanAsNull, columns};
use crate::error::StoreError;

const LOSS: &str = "loss";
const Z_LOSS: &str = "z_loss";
const DATA_WAIT: &str = "data_wait_seconds";
const MEMORY: &str = "memory_bytes";
const MFU: &str = "mfu";

columns! {
    pub(crate) struct MetricColumns {
        run, step, attempt, train_step, loss, learning_rate, grad_norm, tokens_so_far, tokens_per_second, digest, more,
        data_wait_seconds, memory_bytes, mfu,
    }
}

/// A row as the table holds it. Only `train` fills all columns; a command fills `loss` and `more`.
pub(crate) struct StoredMetric {
    pub(crate) train_step: u64,
    pub(crate) loss: f64,
    pub(crate) learning_rate: f64,
    pub(crate) grad_norm: f64,
    /// Zero for a row of a command.
    pub(crate) tokens_so_far: u64,
    pub(crate) tokens_per_second: f64,
    /// JSON: further numbers by name; null stands for NaN.
    pub(crate) more: Option<String>,
    pub(crate) data_wait_seconds: Option<f64>,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) mfu: Option<f64>,
}

/// Decodes a row and verifies its digest. Rows of schema 2 and older have none.
impl FromRow for StoredMetric {
    type Columns = MetricColumns;

    fn from_row(row: &Row<'_>, columns: &MetricColumns) -> Result<StoredMetric, StoreError> {
        let NanAsNull(loss) = columns.loss.get(row)?;
        let NanAsNull(learning_rate) = columns.learning_rate.get(row)?;
        let NanAsNull(grad_norm) = columns.grad_norm.get(row)?;
        let NanAsNull(tokens_per_second) = columns.tokens_per_second.get(row)?;
        let found = StoredMetric {
            train_step: columns.train_step.get(row)?,
            loss,
            learning_rate,
            grad_norm,
            tokens_so_far: columns.tokens_so_far.get(row)?,
            tokens_per_second,
            more: columns.more.get(row)?,
            data_wait_seconds: columns.data_wait_seconds.get(row)?,
            memory_bytes: columns.memory_bytes.get(row)?,
            mfu: columns.mfu.get(row)?,
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

impl FromRow for MetricRow {
    type Columns = MetricColumns;

    fn from_row(row: &Row<'_>, columns: &MetricColumns) -> Result<MetricRow, StoreError> {
        let stored = StoredMetric::from_row(row, columns)?;
        let z_loss = stored.further()?.get(Z_LOSS).copied().flatten();
        let StoredMetric { train_step, loss, learning_rate, grad_norm, tokens_so_far, tokens_per_second, .. } = stored;
        let StoredMetric { data_wait_seconds, memory_bytes, mfu, .. } = stored;
        Ok(MetricRow {
            train_step,
            loss,
            z_loss,
            learning_rate,
            grad_norm,
            tokens_so_far,
            tokens_per_second,
            data_wait_seconds,
            memory_bytes,
            mfu,
        })
    }
}

impl FromRow for Measurement {
    type Columns = MetricColumns;

    fn from_row(row: &Row<'_>, columns: &MetricColumns) -> Result<Measurement, StoreError> {
        StoredMetric::from_row(row, columns)?.measurement()
    }
}

impl StoredMetric {
    /// # Errors
    /// `Unstorable`.
    pub(crate) fn of_training(row: &MetricRow) -> Result<StoredMetric, StoreError> {
        let more = row.z_loss.map(|z_loss| Json(BTreeMap::from([(Z_LOSS, finite(z_loss))])).text()).transpose()?;
        Ok(StoredMetric {
            train_step: row.train_step,
            loss: row.loss,
            learning_rate: row.learning_rate,
            grad_norm: row.grad_norm,
            tokens_so_far: row.tokens_so_far,
            tokens_per_second: row.tokens_per_second,
            more,
            data_wait_seconds: row.data_wait_seconds,
            memory_bytes: row.memory_bytes,
            mfu: row.mfu,
        })
    }

    /// The row of a command. A loss that is no number is in `more`, because NULL in the column means that the row has no loss.
    ///
    /// # Errors
    /// `Unstorable`.
    pub(crate) fn of_command(measured: &Measurement) -> Result<StoredMetric, StoreError> {
        let loss = measured.values.get(LOSS).copied().and_then(finite);
        let rest = measured.values.iter().filter(|(name, _)| loss.is_none() || *name != LOSS);
        let more: BTreeMap<&String, Option<f64>> = rest.map(|(name, value)| (name, finite(*value))).collect();
        Ok(StoredMetric {
            train_step: measured.train_step,
            loss: loss.unwrap_or(f64::NAN),
            learning_rate: f64::NAN,
            grad_norm: f64::NAN,
            tokens_so_far: 0,
            tokens_per_second: f64::NAN,
            more: (!more.is_empty()).then(|| Json(more).text()).transpose()?,
            data_wait_seconds: None,
            memory_bytes: None,
            mfu: None,
        })
    }

    /// The row with further numbers, of which the last of a name counts. The columns of a training keep theirs.
    ///
    /// # Errors
    /// `Unstorable`.
    pub(crate) fn with(self, measured: &Measurement) -> Result<StoredMetric, StoreError> {
        if self.tokens_so_far == 0 {
            let mut values = self.measurement()?.values;
            values.extend(measured.values.clone());
            return StoredMetric::of_command(&Measurement { values, ..measured.clone() });
        }
        let mut more = self.further()?;
        more.extend(measured.values.iter().map(|(name, value)| (name.clone(), finite(*value))));
        Ok(StoredMetric { more: Some(Json(more).text()?), ..self })
    }

    /// All numbers of the row by name.
    pub(crate) fn measurement(&self) -> Result<Measurement, StoreError> {
        let mut values = BTreeMap::new();
        let further = self.further()?;
        if self.tokens_so_far > 0 {
            values.insert("learning_rate".to_owned(), self.learning_rate);
            values.insert("grad_norm".to_owned(), self.grad_norm);
            values.insert("tokens_so_far".to_owned(), self.tokens_so_far as f64);
            values.insert("tokens_per_second".to_owned(), self.tokens_per_second);
            values.insert(LOSS.to_owned(), self.loss);
            let measured = [
                (DATA_WAIT, self.data_wait_seconds),
                (MEMORY, self.memory_bytes.map(|bytes| bytes as f64)),
                (MFU, self.mfu),
            ];
            values.extend(measured.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        } else if !self.loss.is_nan() {
            values.insert(LOSS.to_owned(), self.loss);
        }
        values.extend(further.into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN))));
        Ok(Measurement { train_step: self.train_step, values })
    }

    fn further(&self) -> Result<BTreeMap<String, Option<f64>>, StoreError> {
        let Some(more) = &self.more else { return Ok(BTreeMap::new()) };
        json::parse(more.as_bytes(), Limit::STORED)
            .map_err(|error| StoreError::undecodable(format!("column `more`: {error}")))
    }
}

/// The columns that [`read_values`] expects, in this order.
pub(crate) const VALUES: &str = "train_step, loss, learning_rate, grad_norm, tokens_per_second, tokens_so_far,
                                 data_wait_seconds, mfu, memory_bytes, more";

/// A number of a row, with its name.
pub type NamedValue = (Cow<'static, str>, f64);

/// Replaces `values` by every number of a row; returns its training step. Does not check the digest.
pub(crate) fn read_values(row: &Row<'_>, values: &mut Vec<NamedValue>) -> Result<u64, StoreError> {
    values.clear();
    let train_step = row.get::<_, i64>(0)?.cast_unsigned();
    let number = |index: usize| Ok::<_, StoreError>(row.get::<_, Option<f64>>(index)?);
    let tokens: i64 = row.get(5)?;
    if tokens > 0 {
        for (index, name) in [(1, LOSS), (2, "learning_rate"), (3, "grad_norm"), (4, "tokens_per_second")] {
            values.push((Cow::Borrowed(name), number(index)?.unwrap_or(f64::NAN)));
        }
        values.push((Cow::Borrowed("tokens_so_far"), tokens as f64));
        for (index, name) in [(6, DATA_WAIT), (7, MFU)] {
            values.extend(number(index)?.map(|value| (Cow::Borrowed(name), value)));
        }
        values.extend(row.get::<_, Option<i64>>(8)?.map(|bytes| (Cow::Borrowed(MEMORY), bytes as f64)));
    } else if let Some(loss) = number(1)? {
        values.push((Cow::Borrowed(LOSS), loss));
    }
    let more = row.get_ref(9)?.as_str_or_null().map_err(|error| StoreError::undecodable(error.to_string()))?;
    let Some(more) = more else { return Ok(train_step) };
    let further: BTreeMap<String, Option<f64>> = json::parse(more.as_bytes(), Limit::STORED)
        .map_err(|error| StoreError::undecodable(format!("column `more`: {error}")))?;
    values.extend(further.into_iter().map(|(name, value)| (Cow::Owned(name), value.unwrap_or(f64::NAN))));
    Ok(train_step)
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// 64 bits of BLAKE3 over a whole row.
pub(crate) fn digest(run: &str, step: &str, attempt: u32, row: &StoredMetric) -> i64 {
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
    // Rows of older schemas have no such text, and keep their digest.
    if let Some(more) = &row.more {
        hasher.update(more.as_bytes());
    }
    // Nor have they these numbers.
    let measured = [row.data_wait_seconds, row.mfu].map(|value| value.map(|value| (value + 0.0).to_bits()));
    for (name, word) in [(DATA_WAIT, measured[0]), (MEMORY, row.memory_bytes), (MFU, measured[1])] {
        if let Some(word) = word {
            hasher.update(name.as_bytes());
            hasher.update(&word.to_le_bytes());
        }
    }
    let mut word = [0; 8];
    word.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    i64::from_le_bytes(word)
}
