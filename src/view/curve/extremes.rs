//! Reduces a curve to the columns of a plot. Each column keeps its minimum and its maximum, so that no spike is lost.

/// What falls into one column.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Extremes {
    pub(super) column: usize,
    pub(super) first: f64,
    pub(super) last: f64,
    pub(super) minimum: f64,
    pub(super) maximum: f64,
}

/// Reduces points, which are in order of x, to at most `columns` entries per unbroken piece. A value that is no number
/// breaks the curve. `place` gives the column of an x.
pub(super) fn pieces(points: &[(f64, f64)], place: impl Fn(f64) -> usize) -> Vec<Vec<Extremes>> {
    let mut pieces = Vec::new();
    let mut piece: Vec<Extremes> = Vec::new();
    for &(x, y) in points {
        if !y.is_finite() {
            if !piece.is_empty() {
                pieces.push(std::mem::take(&mut piece));
            }
            continue;
        }
        let column = place(x);
        match piece.last_mut() {
            Some(open) if open.column == column => {
                open.last = y;
                open.minimum = open.minimum.min(y);
                open.maximum = open.maximum.max(y);
            }
            _ => piece.push(Extremes { column, first: y, last: y, minimum: y, maximum: y }),
        }
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spike_of_one_step_in_a_million_stays() {
        let mut points: Vec<(f64, f64)> = (0..1_000_000).map(|x| (f64::from(x), 1.0)).collect();
        points[123_456].1 = 9.0;
        points[777_777].1 = -9.0;
        let pieces = pieces(&points, |x| (x / 10_000.0) as usize);
        assert_eq!((pieces.len(), pieces[0].len()), (1, 100));
        assert_eq!((pieces[0][12].maximum, pieces[0][12].minimum), (9.0, 1.0));
        assert_eq!((pieces[0][77].maximum, pieces[0][77].minimum), (1.0, -9.0));
    }

    #[test]
    fn what_is_no_number_breaks_the_curve() {
        let points = [(0.0, f64::NAN), (1.0, 1.0), (2.0, f64::INFINITY), (3.0, 2.0), (4.0, 3.0), (5.0, f64::NAN)];
        let pieces = pieces(&points, |x| x as usize);
        assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [1, 2]);
    }
}
