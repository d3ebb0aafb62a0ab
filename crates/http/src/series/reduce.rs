//! Makes lines of at most so many points.

use stepwell_store::{Extremes, Point};

/// A line of a picture.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Line {
    pub points: Vec<Point>,
    /// Values that the points stand for.
    pub count: u64,
    pub low: Option<Point>,
    pub high: Option<Point>,
    pub last: Option<Point>,
}

/// Makes a line of at most `most` points of neighbouring pieces: the lowest and the highest of every bucket, and both ends.
pub fn reduce(pieces: &[Extremes], most: usize) -> Line {
    let Some((first, rest)) = pieces.split_first() else { return Line::default() };
    let mut all = *first;
    rest.iter().for_each(|piece| all.add(piece));
    // Up to three points come from a bucket, and two from the ends.
    let buckets = (most.saturating_sub(2) / if all.not_a_number.is_some() { 3 } else { 2 }).max(1);
    let size = if all.count as usize <= most { 1 } else { pieces.len().div_ceil(buckets) };
    let mut points = vec![all.first];
    for bucket in pieces.chunks(size) {
        let mut bucket = bucket.iter();
        let Some(mut joined) = bucket.next().copied() else { continue };
        bucket.for_each(|piece| joined.add(piece));
        points.extend(joined.points());
    }
    points.push(all.last);
    points.sort_by_key(|point| point.train_step);
    points.dedup_by_key(|point| point.train_step);
    let number = |point: Point| Some(point).filter(|point| point.value.is_finite());
    Line { points, count: all.count, low: number(all.low), high: number(all.high), last: Some(all.last) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(values: impl Iterator<Item = f64>) -> Vec<Extremes> {
        values.enumerate().map(|(index, value)| Extremes::of(Point { train_step: index as u64, value })).collect()
    }

    #[test]
    fn a_spike_of_one_row_in_a_million_survives() {
        let value = |step: u32| if step == 654_321 { 99.0 } else { f64::from(step % 7) };
        let line = reduce(&pieces((0..1_000_000).map(value)), 1000);
        assert!(line.points.len() <= 1000, "{}", line.points.len());
        assert!(line.points.iter().any(|point| point.train_step == 654_321 && point.value == 99.0));
        assert_eq!((line.count, line.points[0].train_step), (1_000_000, 0));
        assert_eq!(line.points.last().map(|point| point.train_step), Some(999_999));
        assert!(line.points.is_sorted_by_key(|point| point.train_step));
    }

    #[test]
    fn a_short_series_is_complete() {
        let line = reduce(&pieces([1.0, 3.0, f64::NAN, 2.0].into_iter()), 1000);
        let steps: Vec<u64> = line.points.iter().map(|point| point.train_step).collect();
        assert_eq!(steps, [0, 1, 2, 3]);
        assert_eq!((line.low.unwrap().value, line.high.unwrap().value), (1.0, 3.0));
    }

    #[test]
    fn any_limit_is_kept() {
        for most in [2, 3, 10, 999] {
            for rows in [1, 2, 3, 50, 2001] {
                let with_gaps = (0..rows).map(|row| if row % 3 == 0 { f64::NAN } else { f64::from(row) });
                let line = reduce(&pieces(with_gaps), most);
                assert!(line.points.len() <= most.max(5), "{most} of {rows}: {}", line.points.len());
            }
        }
        assert_eq!(reduce(&[], 10), Line::default());
    }
}
