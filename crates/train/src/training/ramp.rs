//! Settings that change at given shares of the steps.

/// `(share of the steps, number)`, in rising order of the shares, which start at 0.
pub type Ramp<T> = Vec<(f64, T)>;

/// Numbers of lowest blocks that are not trained.
pub type LayerRamp = Ramp<usize>;

/// A ramp without a meaning.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum RampError {
    #[error("`{name}` starts at {share}: its first point must be at 0")]
    Start { name: &'static str, share: f64 },
    #[error("point {number} of `{name}` is at {share}: shares must rise from 0 and stay below 1")]
    Share { name: &'static str, number: usize, share: f64 },
    #[error("`{name}` has {points} points; it must have 1 to 100")]
    Points { name: &'static str, points: usize },
    #[error("point {number} of `{name}` would hold for no step: {total} steps are too few for these points")]
    TooShort { name: &'static str, number: usize, total: u64 },
}

/// Largest number of points.
const MOST_POINTS: usize = 100;

/// Checks a ramp over `total` steps.
///
/// # Errors
/// A [`RampError`] that names the first point without a meaning.
pub fn validate<T: Copy>(name: &'static str, ramp: &[(f64, T)], total: u64) -> Result<(), RampError> {
    if !(1..=MOST_POINTS).contains(&ramp.len()) {
        return Err(RampError::Points { name, points: ramp.len() });
    }
    let mut before = None;
    for (number, (share, _)) in (1..).zip(ramp) {
        match before {
            None if *share != 0.0 => return Err(RampError::Start { name, share: *share }),
            Some(before) if !(*share > before && *share < 1.0) => {
                return Err(RampError::Share { name, number, share: *share });
            }
            _ => before = Some(*share),
        }
    }
    let starts = steps(ramp, total);
    let ends = starts.iter().skip(1).map(|(step, _)| *step).chain([total]);
    match (1..).zip(starts.iter().zip(ends)).find(|(_, ((start, _), end))| start >= end) {
        Some((number, _)) => Err(RampError::TooShort { name, number, total }),
        None => Ok(()),
    }
}

/// The step at which each number starts, rounded up.
pub fn steps<T: Copy>(ramp: &[(f64, T)], total: u64) -> Vec<(u64, T)> {
    ramp.iter().map(|(share, value)| ((share * total as f64).ceil() as u64, *value)).collect()
}

/// The number that holds at the 0-based `step`; `None` without points.
pub fn at<T: Copy>(ramp: &[(f64, T)], step: u64, total: u64) -> Option<T> {
    steps(ramp, total).into_iter().rev().find(|(from, _)| *from <= step).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_holds_from_its_share_on() {
        let ramp = [(0.0, 1), (0.3, 2), (0.7, 4)];
        let found: Vec<u32> = (0..10).map(|step| at(&ramp, step, 10).unwrap()).collect();
        assert_eq!(found, [1, 1, 1, 2, 2, 2, 2, 4, 4, 4]);
        assert_eq!(at::<u32>(&[], 3, 10), None);
        assert_eq!(steps(&ramp, 101), [(0, 1), (31, 2), (71, 4)]);
    }

    #[test]
    fn ramps_without_a_meaning_are_refused() {
        let refused = |ramp: &[(f64, u32)], total| validate("r", ramp, total).unwrap_err();
        assert_eq!(validate("r", &[(0.0, 1), (0.5, 2)], 10), Ok(()));
        assert_eq!(refused(&[], 10), RampError::Points { name: "r", points: 0 });
        assert_eq!(refused(&[(0.1, 1)], 10), RampError::Start { name: "r", share: 0.1 });
        assert_eq!(refused(&[(0.0, 1), (0.5, 2), (0.4, 3)], 10), RampError::Share { name: "r", number: 3, share: 0.4 });
        assert_eq!(refused(&[(0.0, 1), (1.0, 2)], 10), RampError::Share { name: "r", number: 2, share: 1.0 });
        assert!(matches!(refused(&[(0.0, 1), (f64::NAN, 2)], 10), RampError::Share { number: 2, .. }));
        assert!(matches!(refused(&[(f64::NAN, 1)], 10), RampError::Start { .. }));
        let too_short = |number, total| RampError::TooShort { name: "r", number, total };
        assert_eq!(refused(&[(0.0, 1), (0.5, 2), (0.6, 3)], 3), too_short(2, 3));
        assert_eq!(refused(&[(0.0, 1), (0.99, 2)], 10), too_short(2, 10));
    }
}
