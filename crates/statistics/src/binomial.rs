//! Tails of the binomial distribution with probability one half.

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

/// `ln(n!)` of a whole number: the product of small ones, else Stirling's series.
fn ln_factorial(n: f64) -> f64 {
    /// Above, the first term that is left out is below 1e-16.
    const PRODUCT_UP_TO: f64 = 30.0;
    if n <= PRODUCT_UP_TO {
        return (2..=n as u64).map(|factor| factor as f64).product::<f64>().ln();
    }
    let x = n + 1.0;
    let series = [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0];
    let square = x * x;
    let correction = series.iter().rev().fold(0.0, |sum, term| sum / square + term) / x;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + correction
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

    #[test]
    fn the_two_forms_of_the_factorial_meet() {
        let product: f64 = (2..=31).map(|n| f64::from(n).ln()).sum();
        assert!((ln_factorial(31.0) - product).abs() < 1e-13);
    }
}
