//! The numbers of a study: means of arms, and differences from the first arm, seed by seed.

use serde::Serialize;

use stepwell_statistics::{Confidence, Mean, benjamini_hochberg, student};

/// The result of one training.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Result {
    pub arm: String,
    pub seed: u64,
    pub value: f64,
}

/// An arm in the report. Intervals are those of Student's t over seeds, and missing with one seed.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Arm {
    pub name: String,
    pub seeds: usize,
    pub mean: f64,
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// Standard deviation over seeds.
    pub deviation: Option<f64>,
    /// `None` for the first arm.
    pub difference: Option<Difference>,
}

/// The arm less the first arm, for equal seeds.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Difference {
    pub pairs: usize,
    pub mean: f64,
    pub low: Option<f64>,
    pub high: Option<f64>,
    /// Of the paired t-test.
    pub p: Option<f64>,
    /// `p` adjusted for the number of arms (Benjamini and Hochberg).
    pub p_adjusted: Option<f64>,
}

/// All arms in the order in which they first appear; the first is what the others are compared with.
pub(super) fn arms(results: &[Result], confidence: Confidence) -> Vec<Arm> {
    let mut names: Vec<&str> = Vec::new();
    for result in results {
        if !names.contains(&result.arm.as_str()) {
            names.push(&result.arm);
        }
    }
    let mut arms: Vec<Arm> = names.iter().map(|name| arm(results, name, names[0], confidence)).collect();
    let tested = |arm: &mut Arm| arm.difference.as_mut().filter(|difference| difference.p.is_some()).is_some();
    let p: Vec<f64> = arms.iter().filter_map(|arm| arm.difference.as_ref()?.p).collect();
    let adjusted = benjamini_hochberg(&p);
    for (arm, adjusted) in arms.iter_mut().filter_map(|arm| tested(arm).then_some(arm)).zip(adjusted) {
        if let Some(difference) = &mut arm.difference {
            difference.p_adjusted = Some(adjusted);
        }
    }
    arms
}

fn arm(results: &[Result], name: &str, first: &str, confidence: Confidence) -> Arm {
    let of = |arm: &str, seed: u64| results.iter().find(|result| result.arm == arm && result.seed == seed);
    let own: Vec<&Result> = results.iter().filter(|result| result.arm == name).collect();
    let values: Vec<f64> = own.iter().map(|result| result.value).collect();
    let found = student(&values, confidence);
    Arm {
        name: name.to_owned(),
        seeds: values.len(),
        mean: mean(&values),
        low: low(found),
        high: high(found),
        deviation: found.map(|found| found.deviation),
        difference: (name != first).then(|| {
            let paired = own.iter().filter_map(|result| Some(result.value - of(first, result.seed)?.value));
            let differences: Vec<f64> = paired.collect();
            let found = student(&differences, confidence);
            Difference {
                pairs: differences.len(),
                mean: mean(&differences),
                low: low(found),
                high: high(found),
                p: found.map(|found| found.p),
                p_adjusted: None,
            }
        }),
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn low(found: Option<Mean>) -> Option<f64> {
    found.map(|found| found.interval.low)
}

fn high(found: Option<Mean>) -> Option<f64> {
    found.map(|found| found.interval.high)
}
