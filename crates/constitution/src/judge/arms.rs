//! Three arms on the same items: the base model, the base model with the format, the tuned model.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stepwell_statistics::{
    Bootstrap, Confidence, Interval, benjamini_hochberg, cohen_h, mcnemar_corrected, mcnemar_exact, wilson,
};

use super::calibration::Calibration;
use super::scorer::Item;
use crate::stop::{Code, Stop};

/// Disagreements below which McNemar's test is exact.
const EXACT_BELOW: u64 = 25;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// The base model gets the instruction and nothing else.
    BaseRaw,
    /// The base model gets the format that the tuned model is trained with.
    BaseFormat,
    Tuned,
}

/// An answered item of one arm.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    pub schema: u32,
    pub arm: Arm,
    pub item: Item,
    pub answer: String,
    pub is_right: bool,
    /// Characters of the answer.
    pub length: u64,
    /// The calibration that the scorer has passed.
    pub calibration: Calibration,
    pub provenance: crate::data::Provenance,
}

/// A rate with its interval of 95 %.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    pub right: u64,
    pub items: u64,
    pub rate: f64,
    pub low: f64,
    pub high: f64,
    pub mean_length: f64,
}

/// The difference between two arms, second less first.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contrast {
    pub first: Arm,
    pub second: Arm,
    pub lift: f64,
    /// Interval of 95 % of the lift, by a paired bootstrap.
    pub low: f64,
    pub high: f64,
    /// Items that only the first, or only the second, got right.
    pub only_first: u64,
    pub only_second: u64,
    /// `exact` below 25 disagreements, else `corrected`.
    pub test: String,
    pub p: f64,
    pub cohen_h: f64,
    /// Change of the paired outcome per 100 characters that the second answer is longer.
    pub length_slope: f64,
    /// Lift of a pair of answers of equal length, by least squares.
    pub lift_at_equal_length: f64,
    pub types: BTreeMap<String, OfType>,
}

/// The same for one type of items.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OfType {
    pub items: u64,
    pub lift: f64,
    pub p: f64,
    /// Adjusted for the number of types (Benjamini and Hochberg).
    pub q: f64,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    pub schema: u32,
    pub calibration: Calibration,
    pub items: u64,
    pub base_raw: Rate,
    pub base_format: Rate,
    pub tuned: Rate,
    /// Tuned against the base model with the format: what the gate reads.
    pub training: Contrast,
    /// Tuned against the base model as it is.
    pub all: Contrast,
    /// Effect of the format alone.
    pub format: Contrast,
}

/// Compares the arms.
///
/// # Errors
/// `ArmsDiffer` if they are of other items, of another scorer, or not the three arms.
pub fn compare(arms: [&[Outcome]; 3], seed: u64) -> Result<Comparison, Stop> {
    let differ =
        |why: String| Stop::new(Code::ArmsDiffer, why, "evaluate all arms with the same items, scorer and calibration");
    let wanted = [Arm::BaseRaw, Arm::BaseFormat, Arm::Tuned];
    let first = arms[0].first().ok_or_else(|| differ("an arm has no items".to_owned()))?;
    for (arm, wanted) in arms.iter().zip(wanted) {
        if arm.len() != arms[0].len() {
            return Err(differ(format!("the arms have {} and {} items", arms[0].len(), arm.len())));
        }
        for (outcome, other) in arm.iter().zip(arms[0]) {
            if outcome.arm != wanted {
                return Err(differ(format!("an outcome is of the arm {:?}, not {wanted:?}", outcome.arm)));
            }
            if outcome.item != other.item {
                return Err(differ(format!(
                    "the arms have other items: `{}` and `{}`",
                    outcome.item.id, other.item.id
                )));
            }
            if outcome.calibration != first.calibration || !outcome.calibration.passed {
                return Err(differ("the arms were scored by scorers of other calibrations".to_owned()));
            }
        }
    }
    let [raw, format, tuned] = arms;
    Ok(Comparison {
        schema: 1,
        calibration: first.calibration.clone(),
        items: raw.len() as u64,
        base_raw: rate(raw),
        base_format: rate(format),
        tuned: rate(tuned),
        training: contrast(format, tuned, seed),
        all: contrast(raw, tuned, seed),
        format: contrast(raw, format, seed),
    })
}

fn rate(arm: &[Outcome]) -> Rate {
    let (right, items) = (arm.iter().filter(|outcome| outcome.is_right).count() as u64, arm.len() as u64);
    let interval = wilson(right, items, Confidence::P95).unwrap_or(Interval { low: 0.0, high: 1.0 });
    let mean_length = arm.iter().map(|outcome| outcome.length as f64).sum::<f64>() / arm.len().max(1) as f64;
    Rate { right, items, rate: right as f64 / items.max(1) as f64, low: interval.low, high: interval.high, mean_length }
}

fn contrast(first: &[Outcome], second: &[Outcome], seed: u64) -> Contrast {
    let pairs: Vec<(&Outcome, &Outcome)> = first.iter().zip(second).collect();
    let number = |outcome: &Outcome| f64::from(u8::from(outcome.is_right));
    let changes: Vec<f64> = pairs.iter().map(|(first, second)| number(second) - number(first)).collect();
    let lengths: Vec<f64> =
        pairs.iter().map(|(first, second)| (second.length as f64 - first.length as f64) / 100.0).collect();
    let bootstrap = Bootstrap { resamples: 2_000, seed, confidence: Confidence::P95 };
    let lift = mean(&changes);
    let interval = bootstrap.mean(&changes).map_or(Interval { low: lift, high: lift }, |estimate| estimate.interval);
    let (only_first, only_second) = disagreements(&pairs);
    let (test, p) = mcnemar(only_first, only_second);
    let slope = slope(&lengths, &changes);
    let mut by_type: BTreeMap<String, Vec<(&Outcome, &Outcome)>> = BTreeMap::new();
    for pair in &pairs {
        by_type.entry(pair.0.item.kind.clone()).or_default().push(*pair);
    }
    let tests: Vec<f64> = by_type
        .values()
        .map(|pairs| {
            let (only_first, only_second) = disagreements(pairs);
            mcnemar(only_first, only_second).1
        })
        .collect();
    let adjusted = benjamini_hochberg(&tests);
    let types = by_type.into_iter().zip(tests).zip(adjusted).map(|(((kind, pairs), p), q)| {
        let lift = mean(&pairs.iter().map(|(first, second)| number(second) - number(first)).collect::<Vec<_>>());
        (kind, OfType { items: pairs.len() as u64, lift, p, q })
    });
    Contrast {
        first: first.first().map_or(Arm::BaseRaw, |outcome| outcome.arm),
        second: second.first().map_or(Arm::Tuned, |outcome| outcome.arm),
        lift,
        low: interval.low,
        high: interval.high,
        only_first,
        only_second,
        test: test.to_owned(),
        p,
        cohen_h: cohen_h(rate(second).rate, rate(first).rate),
        length_slope: slope,
        lift_at_equal_length: lift - slope * mean(&lengths),
        types: types.collect(),
    }
}

fn disagreements(pairs: &[(&Outcome, &Outcome)]) -> (u64, u64) {
    let count = |first: bool| pairs.iter().filter(|(a, b)| a.is_right == first && b.is_right != first).count() as u64;
    (count(true), count(false))
}

fn mcnemar(only_first: u64, only_second: u64) -> (&'static str, f64) {
    match only_first + only_second < EXACT_BELOW {
        true => ("exact", mcnemar_exact(only_first, only_second).p),
        false => ("corrected", mcnemar_corrected(only_first, only_second).p),
    }
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len().max(1) as f64
}

/// Slope of `y` over `x` by least squares; 0 if all `x` are equal.
fn slope(x: &[f64], y: &[f64]) -> f64 {
    let (mean_x, mean_y) = (mean(x), mean(y));
    let square: f64 = x.iter().map(|x| (x - mean_x).powi(2)).sum();
    let product: f64 = x.iter().zip(y).map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    if square > 0.0 { product / square } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::outcomes;

    #[test]
    fn the_test_is_exact_for_few_disagreements() {
        assert_eq!(mcnemar(4, 20).0, "exact");
        assert_eq!(mcnemar(5, 20).0, "corrected");
    }

    #[test]
    fn a_gain_that_is_only_length_vanishes_at_equal_length() {
        // Right exactly where the answer is longer: the lift is the length.
        let first = outcomes(Arm::BaseFormat, 40, |_| (false, 10));
        let second = outcomes(Arm::Tuned, 40, |n| if n % 2 == 0 { (true, 110) } else { (false, 10) });
        let found = contrast(&first, &second, 1);
        assert!((found.lift - 0.5).abs() < 1e-12 && found.lift_at_equal_length.abs() < 1e-12, "{found:?}");
        assert!((found.length_slope - 1.0).abs() < 1e-12);
        // Right without regard to length: it stays.
        let second = outcomes(Arm::Tuned, 40, |n| (n % 2 == 0, if n % 4 < 2 { 110 } else { 10 }));
        assert!((contrast(&first, &second, 1).lift_at_equal_length - 0.5).abs() < 1e-12);
    }

    #[test]
    fn types_are_adjusted_and_signs_are_those_of_the_second() {
        let first = outcomes(Arm::BaseFormat, 40, |_| (false, 10));
        let second = outcomes(Arm::Tuned, 40, |n| (n < 20, 10));
        let found = contrast(&first, &second, 1);
        assert_eq!((found.only_first, found.only_second), (0, 20));
        assert!(found.cohen_h > 0.0 && found.low > 0.0 && found.p < 1e-4);
        // 40 items of two types, of which the second arm has all 20 of one right and none of the other.
        assert_eq!(found.types.len(), 2);
        assert!(found.types.values().all(|of_type| of_type.q >= of_type.p));
    }

    #[test]
    fn arms_of_other_items_or_scorers_are_not_compared() {
        let arm = |arm| outcomes(arm, 6, |_| (true, 10));
        let (raw, format, tuned) = (arm(Arm::BaseRaw), arm(Arm::BaseFormat), arm(Arm::Tuned));
        compare([&raw, &format, &tuned], 1).unwrap();
        let code = |arms: [&[Outcome]; 3]| compare(arms, 1).unwrap_err().code;
        assert_eq!(code([&raw, &tuned, &format]), Code::ArmsDiffer);
        assert_eq!(code([&raw, &format, &tuned[..5]]), Code::ArmsDiffer);
        assert_eq!(code([&[], &[], &[]]), Code::ArmsDiffer);
        let mut other = tuned.clone();
        other[3].item.instruction.push('x');
        assert_eq!(code([&raw, &format, &other]), Code::ArmsDiffer);
        let mut other = tuned.clone();
        other[0].calibration.passed = false;
        assert_eq!(code([&raw, &format, &other]), Code::ArmsDiffer);
    }
}
