//! The mean of a few numbers, by Student's t distribution.

use crate::confidence::Confidence;
use crate::gamma::ln_gamma;
use crate::wilson::Interval;

/// A mean, and how sure it is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Mean {
    pub value: f64,
    /// Standard deviation of the numbers, with `n - 1`.
    pub deviation: f64,
    pub interval: Interval,
    /// Two-sided probability of a mean at least this far from 0 if the true one is 0.
    pub p: f64,
}

/// The mean of independent numbers from a normal distribution, such as one result per seed; of paired differences, this is the
/// paired t-test. `None` for fewer than two numbers.
pub fn student(values: &[f64], confidence: Confidence) -> Option<Mean> {
    if values.len() < 2 {
        return None;
    }
    let n = values.len() as f64;
    let value = values.iter().sum::<f64>() / n;
    let deviation = (values.iter().map(|one| (one - value).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    let error = deviation / n.sqrt();
    let reach = two_sided_quantile(2.0 * confidence.tail(), n - 1.0) * error;
    let p = match (value == 0.0, error > 0.0) {
        (true, _) => 1.0,
        (false, true) => two_sided(value / error, n - 1.0),
        (false, false) => 0.0,
    };
    Some(Mean { value, deviation, interval: Interval { low: value - reach, high: value + reach }, p })
}

/// Probability of a `t` at least this far from 0, with `freedom` degrees of freedom.
fn two_sided(t: f64, freedom: f64) -> f64 {
    incomplete_beta(freedom / (freedom + t * t), freedom / 2.0, 0.5)
}

/// The `t` whose two-sided probability is `p`.
fn two_sided_quantile(p: f64, freedom: f64) -> f64 {
    let (mut low, mut high) = (0.0_f64, 1.0_f64);
    while two_sided(high, freedom) > p {
        high *= 2.0;
    }
    // Halving ends when no number lies between.
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return middle;
        }
        if two_sided(middle, freedom) > p { low = middle } else { high = middle }
    }
}

/// The regularised incomplete beta function `I_x(a, b)`, by its continued fraction (NIST DLMF 8.17.22).
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return if x <= 0.0 { 0.0 } else { 1.0 };
    }
    // The fraction converges fast on this side of its middle.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln()).exp() / a;
    front / fraction(x, a, b)
}

/// `1 + d_1 / (1 + d_2 / (1 + ...))`, from the end, with as many terms as never were needed.
fn fraction(x: f64, a: f64, b: f64) -> f64 {
    const TERMS: u32 = 400;
    (1..=TERMS).rev().fold(1.0, |rest, term| {
        let m = f64::from(term / 2);
        let d = if term % 2 == 0 {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        1.0 + d / rest
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.stats.ttest_1samp` and `scipy.stats.t.interval` of scipy 1.17.
    #[test]
    fn means_have_the_intervals_and_the_p_of_scipy() {
        for (values, low, high, p) in GOLDEN {
            let found = student(values, Confidence::P95).unwrap();
            let close = |found: f64, wanted: f64| (found - wanted).abs() <= 1e-9 * wanted.abs().max(1e-3);
            let all = close(found.interval.low, *low) && close(found.interval.high, *high) && close(found.p, *p);
            assert!(all, "{values:?}: {found:?}");
        }
    }

    #[test]
    fn one_number_says_nothing_and_equal_numbers_say_all() {
        assert_eq!(student(&[1.0], Confidence::P95), None);
        let equal = student(&[2.0, 2.0, 2.0], Confidence::P95).unwrap();
        assert_eq!((equal.interval.low, equal.interval.high, equal.p), (2.0, 2.0, 0.0));
        assert_eq!(student(&[0.0, 0.0], Confidence::P95).unwrap().p, 1.0);
        assert_eq!(student(&[-1.0, 1.0], Confidence::P95).unwrap().p, 1.0);
    }

    const GOLDEN: &[(&[f64], f64, f64, f64)] = &[
        (&[0.12, 0.1, 0.19], 0.019270898507135606, 0.2540624348261978, 0.03762232003330851),
        (&[-0.03, 0.02], -0.3226551184043674, 0.3126551184043674, 0.8743340836219978),
        (&[1.93, 1.97, 1.91, 2.05, 1.88], 1.8663895143210092, 2.0296104856789903, 3.1057321293637535e-7),
        (
            &[5.0, -3.0, 0.25, 0.5, -0.75, 2.0, 1.0, -1.0, 0.1, 0.2, 0.3, 0.4],
            -0.7811000538871287,
            1.6144333872204621,
            0.45999473930341545,
        ),
        (&[0.001, 0.002, 0.0015], 0.0002579311441248352, 0.0027420688558751653, 0.03509871864598465),
    ];
}
