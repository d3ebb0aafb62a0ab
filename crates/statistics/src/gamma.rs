//! The logarithm of the gamma function.

/// Above, the first term of Stirling's series that is left out is below 1e-16.
const LARGE: f64 = 31.0;

/// `ln(Γ(x))` of a positive number: Stirling's series (NIST DLMF 5.11.1), for small numbers through `Γ(x + 1) = x Γ(x)`.
pub fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut product) = (x, 1.0);
    while x < LARGE {
        product *= x;
        x += 1.0;
    }
    let series = [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0];
    let square = x * x;
    let correction = series.iter().rev().fold(0.0, |sum, term| sum / square + term) / x;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + correction - product.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_and_half_numbers_are_those_of_the_factorial_and_of_pi() {
        assert!(ln_gamma(1.0).abs() < 1e-13 && ln_gamma(2.0).abs() < 1e-13);
        assert!((ln_gamma(0.5) - 0.5 * std::f64::consts::PI.ln()).abs() < 1e-13);
        let product: f64 = (2..=31).map(|n| f64::from(n).ln()).sum();
        assert!((ln_gamma(32.0) - product).abs() < 1e-13);
    }
}
