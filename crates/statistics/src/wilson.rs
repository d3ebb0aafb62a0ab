//! Interval of a rate.

use crate::confidence::Confidence;

/// A range that holds the true value with some confidence.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

/// Score interval of a rate (Wilson 1927); `None` without trials. It stays within 0 and 1, and is useful also for few trials
/// and for rates near the ends.
///
/// # Panics
/// When there are more successes than trials.
pub fn wilson(successes: u64, trials: u64, confidence: Confidence) -> Option<Interval> {
    assert!(successes <= trials, "{successes} of {trials} is no rate");
    if trials == 0 {
        return None;
    }
    let (n, z) = (trials as f64, confidence.normal_quantile());
    let rate = successes as f64 / n;
    let shrink = 1.0 + z * z / n;
    let centre = (rate + z * z / (2.0 * n)) / shrink;
    let half = z * (rate * (1.0 - rate) / n + z * z / (4.0 * n * n)).sqrt() / shrink;
    Some(Interval { low: (centre - half).max(0.0), high: (centre + half).min(1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_are_one_sided_and_nothing_has_no_interval() {
        let none = wilson(0, 10, Confidence::P95).unwrap();
        assert!(
            none.low.abs() < 1e-15 && (none.high - 3.841_458_820_694_124 / 13.841_458_820_694_124).abs() < 1e-9,
            "{none:?}"
        );
        let all = wilson(10, 10, Confidence::P95).unwrap();
        assert!((all.low + none.high - 1.0).abs() < 1e-12 && all.high >= 1.0 - 1e-15);
        assert_eq!(wilson(0, 0, Confidence::P95), None);
        assert!(Confidence::new(1.0).is_err() && Confidence::new(f64::NAN).is_err());
    }
}
