//! McNemar's test (1947): do two judges of the same items differ? Only items on which they disagree count.

use crate::binomial::at_most;
use crate::normal::chi_square_tail;

/// Result of a test of "there is no difference".
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Test {
    pub statistic: f64,
    /// Probability of a result at least as extreme if there is no difference, two-sided.
    pub p: f64,
}

/// Exact test, valid for any number of items. `only_first` counts the items that only the first got right. The statistic is the
/// smaller of the two counts.
pub fn mcnemar_exact(only_first: u64, only_second: u64) -> Test {
    let fewer = only_first.min(only_second);
    let p = (2.0 * at_most(fewer, only_first + only_second)).min(1.0);
    Test { statistic: fewer as f64, p }
}

/// Chi-square test with Edwards' continuity correction (1948), for 25 disagreements or more. Without any, the statistic is 0.
pub fn mcnemar_corrected(only_first: u64, only_second: u64) -> Test {
    let both = only_first + only_second;
    if both == 0 {
        return Test { statistic: 0.0, p: 1.0 };
    }
    let distance = only_first.abs_diff(only_second) as f64 - 1.0;
    let statistic = distance * distance / both as f64;
    Test { statistic, p: chi_square_tail(statistic) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_is_no_difference() {
        assert_eq!(mcnemar_exact(0, 0), Test { statistic: 0.0, p: 1.0 });
        assert_eq!(mcnemar_corrected(0, 0), Test { statistic: 0.0, p: 1.0 });
        assert!((mcnemar_exact(4, 4).p - 1.0).abs() < 1e-15);
    }

    #[test]
    fn the_order_of_the_judges_does_not_matter() {
        for (a, b) in [(0, 9), (3, 8), (40, 61), (5, 5)] {
            assert_eq!(mcnemar_exact(a, b), mcnemar_exact(b, a));
            assert_eq!(mcnemar_corrected(a, b), mcnemar_corrected(b, a));
        }
        assert!((mcnemar_exact(0, 9).p - 2.0 / 512.0).abs() < 1e-15);
    }
}
