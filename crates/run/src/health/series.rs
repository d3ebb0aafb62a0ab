//! Statistics that a few wild values cannot move.

/// Makes the deviation comparable with the standard deviation of normal noise.
const NORMAL: f64 = 1.4826;

/// The median of some values and their usual distance from it; `None` without a finite value.
pub(super) fn usual(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let mut finite: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    let middle = median(&mut finite)?;
    finite.iter_mut().for_each(|value| *value = (*value - middle).abs());
    Some((middle, NORMAL * median(&mut finite)?))
}

fn median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len().checked_sub(1)? / 2;
    Some(*values.select_nth_unstable_by(middle, f64::total_cmp).1)
}
