//! A scorer must tell gold answers from wrong ones, and must not be fooled by length, before a gate may read it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scorer::{Item, Scorer};
use crate::stop::{Code, Stop};

/// Least rows of each kind.
const LEAST: u64 = 5;
/// Least share of each kind that the scorer must judge as people did.
const SHARE: f64 = 0.9;

/// How a row of the calibration set came about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GoldKind {
    /// A right answer.
    Positive,
    /// A wrong answer of usual length.
    Negative,
    /// A wrong answer of the length of right ones, or a right answer that is very short or long.
    Length,
}

/// An answer that a person has judged.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GoldRow {
    pub item: Item,
    pub answer: String,
    pub is_right: bool,
    pub kind: GoldKind,
}

/// Result of a calibration; evaluations carry it, and a gate reads none without.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    pub schema: u32,
    pub scorer: Scorer,
    pub rows: u64,
    /// Share of positives, negatives and length rows that it judged as people did.
    pub positives: f64,
    pub negatives: f64,
    pub length: f64,
    pub passed: bool,
    /// Digest of the calibration set.
    pub set: String,
}

/// Compares the judgements of a scorer with those of people. `set` is the digest of the rows.
///
/// # Errors
/// `InvalidRecord` if the set has too few rows of a kind, `ScorerNotCalibrated` if the scorer fails.
pub fn calibrate(scorer: Scorer, rows: &[GoldRow], set: String) -> Result<Calibration, Stop> {
    let of = |kind: GoldKind| {
        let judged = rows.iter().filter(|row| row.kind == kind);
        let (count, right) = judged.fold((0_u64, 0_u64), |(count, right), row| {
            (count + 1, right + u64::from(row.is_right == scorer.is_right(&row.item, &row.answer)))
        });
        if count < LEAST {
            let message = format!("the calibration set has {count} rows of the kind {kind:?}, it needs {LEAST}");
            return Err(Stop::new(Code::InvalidRecord, message, "add answers that a person has judged"));
        }
        Ok(right as f64 / count as f64)
    };
    for (number, row) in rows.iter().enumerate() {
        let fits = match row.kind {
            GoldKind::Positive => row.is_right,
            GoldKind::Negative => !row.is_right,
            GoldKind::Length => true,
        };
        if !fits {
            let message =
                format!("row {} of the calibration set is {:?}, and `is_right` says otherwise", number + 1, row.kind);
            return Err(Stop::new(Code::InvalidRecord, message, "positives are right, negatives are wrong"));
        }
    }
    let (positives, negatives, length) = (of(GoldKind::Positive)?, of(GoldKind::Negative)?, of(GoldKind::Length)?);
    let passed = [positives, negatives, length].iter().all(|share| *share >= SHARE);
    if !passed {
        let percent = |share: f64| (share * 100.0).round();
        return Err(Stop::new(
            Code::ScorerNotCalibrated,
            format!(
                "the scorer `{}` agrees with people on {} % of the right answers, {} % of the wrong ones and {} % of those that only \
                 differ in length; each must be at least 90 %",
                scorer.as_str(),
                percent(positives),
                percent(negatives),
                percent(length)
            ),
            "a gate that reads it would measure something else; use another scorer, or correct the calibration set",
        ));
    }
    Ok(Calibration { schema: 1, scorer, rows: rows.len() as u64, positives, negatives, length, passed, set })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::gold;

    fn calibrated(scorer: Scorer) -> Result<Calibration, Stop> {
        calibrate(scorer, &gold(), String::new())
    }

    #[test]
    fn a_scorer_that_only_measures_length_is_refused() {
        assert!(calibrated(Scorer::Expected).unwrap().passed);
        let stop = calibrated(Scorer::Length).unwrap_err();
        assert_eq!(stop.code, Code::ScorerNotCalibrated);
        // Also where wrong answers are empty, as in the data that fooled a published gate: only answers of misleading length tell.
        let mut rows = gold();
        rows.iter_mut().filter(|row| row.kind == GoldKind::Negative).for_each(|row| row.answer.clear());
        assert_eq!(calibrate(Scorer::Length, &rows, String::new()).unwrap_err().code, Code::ScorerNotCalibrated);
    }

    #[test]
    fn a_set_without_adversaries_calibrates_nothing() {
        let rows: Vec<GoldRow> = gold().into_iter().filter(|row| row.kind != GoldKind::Length).collect();
        assert_eq!(calibrate(Scorer::Expected, &rows, String::new()).unwrap_err().code, Code::InvalidRecord);
        let mut rows = gold();
        rows[0].is_right = !rows[0].is_right;
        assert!(calibrate(Scorer::Expected, &rows, String::new()).unwrap_err().message.contains("otherwise"));
    }
}
