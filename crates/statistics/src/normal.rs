//! The normal distribution, to the last bits of f64.

/// Where the continued fraction of `erfc` converges faster than the series of `erf`.
const SERIES_UP_TO: f64 = 2.0;

/// Complementary error function, with a small relative error also in the tail.
pub fn erfc(x: f64) -> f64 {
    if x < 0.0 {
        2.0 - erfc(-x)
    } else if x < SERIES_UP_TO {
        1.0 - erf_series(x)
    } else {
        erfc_fraction(x)
    }
}

/// `erf(x) = 2/sqrt(pi) exp(-x^2) sum_n 2^n x^(2n+1) / (2n+1)!!` (Abramowitz and Stegun 7.1.6): all terms are positive.
fn erf_series(x: f64) -> f64 {
    let (mut term, mut sum, mut odd) = (x, x, 1.0);
    while term > sum * 1e-18 {
        odd += 2.0;
        term *= 2.0 * x * x / odd;
        sum += term;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

/// `erfc(x) = exp(-x^2)/sqrt(pi) / (x + (1/2)/(x + 1/(x + (3/2)/(x + ...))))` (Abramowitz and Stegun 7.1.14), from its end.
fn erfc_fraction(x: f64) -> f64 {
    /// Enough for the last bit at `SERIES_UP_TO`, where it converges slowest.
    const DEPTH: u32 = 200;
    let tail = (1..=DEPTH).rev().fold(x, |below, n| x + f64::from(n) / 2.0 / below);
    (-x * x).exp() * std::f64::consts::FRAC_2_SQRT_PI / 2.0 / tail
}

/// Probability that a standard normal value is larger than `z`.
pub fn upper_tail(z: f64) -> f64 {
    erfc(z / std::f64::consts::SQRT_2) / 2.0
}

/// The value that a standard normal one exceeds with this probability, between 0 and 1/2.
pub fn upper_quantile(tail: f64) -> f64 {
    let (mut low, mut high) = (0.0, 40.0);
    loop {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            return middle;
        }
        if upper_tail(middle) > tail {
            low = middle;
        } else {
            high = middle;
        }
    }
}

/// Probability that a chi-square value with one degree of freedom is larger than `x`.
pub fn chi_square_tail(x: f64) -> f64 {
    erfc((x / 2.0).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_and_the_joint_of_the_two_methods() {
        let close = |found: f64, wanted: f64| assert!((found / wanted - 1.0).abs() < 1e-13, "{found} is not {wanted}");
        close(erfc(0.5), 0.479_500_122_186_953_5);
        close(erfc(3.0), 2.209_049_699_858_544e-5);
        close(erfc(-1.0), 1.842_700_792_949_714_8);
        close(1.0 - erf_series(SERIES_UP_TO), erfc_fraction(SERIES_UP_TO));
        close(upper_quantile(0.025), 1.959_963_984_540_054);
        close(upper_quantile(0.005), 2.575_829_303_548_901);
        close(chi_square_tail(3.841_458_820_694_124), 0.05);
    }

    #[test]
    fn the_quantile_is_the_inverse_of_the_tail() {
        for tail in [0.499, 0.25, 0.1, 1e-3, 1e-9, 1e-30] {
            assert!((upper_tail(upper_quantile(tail)) / tail - 1.0).abs() < 1e-11, "{tail}");
        }
    }
}
