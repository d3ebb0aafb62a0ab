//! Many tests at once.

/// Adjusts p-values so that among those below `q`, the expected share of false ones is at most `q` (Benjamini and Hochberg
/// 1995). The result has the order of the input.
///
/// # Panics
/// When a value is not between 0 and 1.
pub fn benjamini_hochberg(p: &[f64]) -> Vec<f64> {
    assert!(p.iter().all(|p| (0.0..=1.0).contains(p)), "a probability is between 0 and 1");
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut adjusted = vec![1.0; p.len()];
    let mut least = 1.0_f64;
    for (rank, index) in order.iter().enumerate().rev() {
        least = least.min(p[*index] * p.len() as f64 / (rank + 1) as f64);
        adjusted[*index] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::benjamini_hochberg;

    #[test]
    fn values_are_adjusted_by_hand() {
        let adjusted = benjamini_hochberg(&[0.01, 0.04, 0.03, 0.5]);
        for (found, wanted) in adjusted.iter().zip([0.04, 0.16 / 3.0, 0.16 / 3.0, 0.5]) {
            assert!((found - wanted).abs() < 1e-15, "{adjusted:?}");
        }
        assert_eq!(benjamini_hochberg(&[]), Vec::<f64>::new());
    }

    proptest! {
        #[test]
        fn the_order_is_kept_and_nothing_becomes_smaller(p in proptest::collection::vec(0.0..=1.0_f64, 1..20)) {
            let adjusted = benjamini_hochberg(&p);
            for (one, a) in p.iter().zip(&adjusted) {
                prop_assert!(*a >= one * (1.0 - 1e-15) && *a <= 1.0);
                for (other, b) in p.iter().zip(&adjusted) {
                    prop_assert!(one > other || *a <= b * (1.0 + 1e-15));
                }
            }
        }
    }
}
