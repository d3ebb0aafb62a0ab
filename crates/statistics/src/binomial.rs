//! Tails of the binomial distribution with probability one half.

use crate::gamma::ln_gamma;

/// Probability of at most `most` heads in `throws` throws of a fair coin.
pub fn at_most(most: u64, throws: u64) -> f64 {
    if most >= throws {
        return 1.0;
    }
    if most > throws / 2 {
        // The other tail is the shorter sum.
        return 1.0 - at_most(throws - most - 1, throws);
    }
    let n = throws as f64;
    let mut k = most as f64;
    let mut term = (ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k) - n * std::f64::consts::LN_2).exp();
    let mut sum = term;
    while k > 0.0 && term > sum * 1e-18 {
        term *= k / (n - k + 1.0);
        sum += term;
        k -= 1.0;
    }
    sum
}

/// `ln(n!)` of a whole number.
fn ln_factorial(n: f64) -> f64 {
    /// Exact as a product.
    const PRODUCT_UP_TO: f64 = 30.0;
    if n <= PRODUCT_UP_TO {
        return (2..=n as u64).map(|factor| factor as f64).product::<f64>().ln();
    }
    ln_gamma(n + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_tails_are_counted_by_hand() {
        assert!((at_most(0, 3) - 0.125).abs() < 1e-15);
        assert!((at_most(1, 4) - 5.0 / 16.0).abs() < 1e-15);
        assert!((at_most(3, 4) - 15.0 / 16.0).abs() < 1e-15);
        assert!((at_most(4, 4) - 1.0).abs() < 1e-15 && (at_most(0, 0) - 1.0).abs() < 1e-15);
        assert!((at_most(500, 1001) - 0.5).abs() < 1e-12);
    }
}
