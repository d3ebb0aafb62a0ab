//! The numbers of the task `generation`.

use super::novelty::Novelty;
use super::variety::{distinct, longest_repeat, repeated};
use crate::evaluation::outcome::Metric;

/// Samples to show. The measures use all samples.
pub const SHOWN: usize = 3;

/// Measures of samples, each the tokens of a continuation; `ended` counts those that the model ended itself. `novelty` has seen
/// the training text.
pub fn generation(samples: &[Vec<u32>], ended: u64, novelty: &[(&'static str, Novelty)]) -> Vec<Metric> {
    let mut metrics = vec![
        Metric::plain("distinct_1", distinct(samples, 1)),
        Metric::plain("distinct_2", distinct(samples, 2)),
        Metric::lower("repetition_4", repeated(samples, 4)),
        Metric::lower("longest_repeat", longest_repeat(samples) as f64),
        Metric::plain("eos_rate", ended as f64 / samples.len().max(1) as f64),
    ];
    metrics.extend(novelty.iter().filter_map(|(name, novelty)| Some(Metric::plain(name, novelty.share()?))));
    metrics
}
