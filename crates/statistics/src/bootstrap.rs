//! The bootstrap (Efron 1979): how a statistic varies when the items are drawn again.

use crate::confidence::Confidence;
use crate::wilson::Interval;
use stepwell_base::rng::{Rng, derive_seed};

/// Draws of items with replacement. Draw number `n` is a function of the seed and of `n`, so equal seeds give equal results.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bootstrap {
    pub resamples: u32,
    pub seed: u64,
    pub confidence: Confidence,
}

/// A statistic, and how sure it is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Estimate {
    /// Of the items as they are.
    pub value: f64,
    /// Between the percentiles of the resamples.
    pub interval: Interval,
    /// Standard deviation over the resamples.
    pub standard_error: f64,
    /// Two-sided probability of "the value is 0": twice the share of resamples on the other side of it, never 0.
    pub p: f64,
}

impl Bootstrap {
    /// Estimates `statistic`, a function of the numbers of the drawn items; `None` without items or without resamples. For two
    /// judges of the same items, draw the items and let `statistic` be the difference: the bootstrap is then paired.
    pub fn estimate(&self, items: usize, mut statistic: impl FnMut(&[u32]) -> f64) -> Option<Estimate> {
        let count = u32::try_from(items).ok().filter(|items| *items > 0)?;
        if self.resamples == 0 {
            return None;
        }
        let mut drawn: Vec<u32> = (0..count).collect();
        let value = statistic(&drawn);
        let mut values: Vec<f64> = (0..self.resamples)
            .map(|resample| {
                let mut rng = Rng::new(derive_seed(self.seed, "bootstrap", u64::from(resample)));
                drawn.fill_with(|| rng.below(u64::from(count)) as u32);
                statistic(&drawn)
            })
            .collect();
        values.sort_unstable_by(f64::total_cmp);
        let tail = self.confidence.tail();
        let interval = Interval { low: quantile(&values, tail), high: quantile(&values, 1.0 - tail) };
        let share = |holds: fn(f64) -> bool| {
            let others = values.iter().filter(|value| holds(**value)).count();
            (others + 1) as f64 / (values.len() + 1) as f64
        };
        let p = (2.0 * share(|value| value <= 0.0).min(share(|value| value >= 0.0))).min(1.0);
        Some(Estimate { value, interval, standard_error: deviation(&values), p })
    }

    /// Estimates the mean of one number per item.
    pub fn mean(&self, values: &[f64]) -> Option<Estimate> {
        self.estimate(values.len(), |drawn| {
            drawn.iter().map(|item| values[*item as usize]).sum::<f64>() / drawn.len() as f64
        })
    }

    /// Estimates a ratio of sums, such as bits per byte of texts of different lengths.
    pub fn ratio(&self, parts: &[(f64, f64)]) -> Option<Estimate> {
        self.estimate(parts.len(), |drawn| ratio(drawn, parts))
    }
}

fn ratio(drawn: &[u32], parts: &[(f64, f64)]) -> f64 {
    let (above, below) = drawn
        .iter()
        .map(|item| parts[*item as usize])
        .fold((0.0, 0.0), |(above, below), part| (above + part.0, below + part.1));
    above / below
}

/// Linear between the sorted values.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

fn deviation(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    if values.len() < 2 {
        0.0
    } else {
        (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bootstrap(seed: u64) -> Bootstrap {
        Bootstrap { resamples: 1000, seed, confidence: Confidence::P95 }
    }

    fn numbers(seed: u64, count: usize, mean: f64) -> Vec<f64> {
        let mut rng = Rng::new(seed);
        (0..count).map(|_| mean + rng.normal()).collect()
    }

    #[test]
    fn equal_seeds_give_equal_estimates_and_other_seeds_others() {
        let values = numbers(1, 50, 0.0);
        assert_eq!(bootstrap(3).mean(&values), bootstrap(3).mean(&values));
        assert_ne!(bootstrap(3).mean(&values), bootstrap(4).mean(&values));
        assert_eq!(bootstrap(3).mean(&[]), None);
        assert_eq!(Bootstrap { resamples: 0, ..bootstrap(3) }.mean(&values), None);
    }

    #[test]
    fn the_interval_is_about_that_of_the_normal_distribution_and_covers_the_mean() {
        let values = numbers(2, 400, 0.0);
        let estimate = bootstrap(1).mean(&values).unwrap();
        assert!((estimate.standard_error - 0.05).abs() < 0.008, "{estimate:?}");
        let width = (estimate.interval.high - estimate.interval.low) / estimate.standard_error;
        assert!((width - 2.0 * 1.96).abs() < 0.4, "{estimate:?}");
        let covered = (0..200).filter(|seed| {
            let interval = bootstrap(*seed).mean(&numbers(100 + seed, 60, 0.0)).unwrap().interval;
            interval.low <= 0.0 && 0.0 <= interval.high
        });
        let covered = covered.count();
        assert!((178..=199).contains(&covered), "{covered} of 200");
    }

    /// Without pairs, the variation of the items would hide a small difference.
    #[test]
    fn a_paired_difference_is_found() {
        let first = numbers(5, 100, 0.0);
        let second: Vec<f64> =
            first.iter().zip(numbers(6, 100, 0.0)).map(|(one, noise)| one + 0.05 + noise / 20.0).collect();
        let difference: Vec<f64> = second.iter().zip(&first).map(|(b, a)| b - a).collect();
        let estimate = bootstrap(1).mean(&difference).unwrap();
        assert!(estimate.p < 0.01 && estimate.interval.low > 0.0, "{estimate:?}");
        let none = bootstrap(1).mean(&numbers(7, 100, 0.0)).unwrap();
        assert!(none.p > 0.05, "{none:?}");
    }

    #[test]
    fn a_ratio_weights_long_items() {
        let estimate = bootstrap(1).ratio(&[(1.0, 1.0), (30.0, 10.0)]).unwrap();
        assert!((estimate.value - 31.0 / 11.0).abs() < 1e-15);
        assert!((estimate.interval.low - 1.0).abs() < 1e-15 && (estimate.interval.high - 3.0).abs() < 1e-15);
    }

    #[test]
    fn quantiles_are_linear_between_values() {
        assert!((quantile(&[1.0, 2.0, 4.0], 0.75) - 3.0).abs() < 1e-15);
        assert!((quantile(&[1.0, 2.0, 4.0], 1.0) - 4.0).abs() < 1e-15);
    }
}
