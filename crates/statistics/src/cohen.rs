//! Size of a difference between two rates.

/// Cohen's h (1988): the difference of the rates on the arcsine scale. 0.2 is called small, 0.5 medium, 0.8 large.
///
/// # Panics
/// When a rate is not between 0 and 1.
pub fn cohen_h(first: f64, second: f64) -> f64 {
    let angle = |rate: f64| {
        assert!((0.0..=1.0).contains(&rate), "{rate} is no rate");
        2.0 * rate.sqrt().asin()
    };
    angle(first) - angle(second)
}

#[cfg(test)]
mod tests {
    use super::cohen_h;

    #[test]
    fn known_values() {
        assert!((cohen_h(1.0, 0.0) - std::f64::consts::PI).abs() < 1e-15);
        assert!(cohen_h(0.3, 0.3).abs() < 1e-15);
        assert!((cohen_h(0.5, 0.25) - std::f64::consts::FRAC_PI_6).abs() < 1e-12);
    }
}
