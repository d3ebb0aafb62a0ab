//! Reduces series to as many points as a picture can show. Each part of the x axis keeps its lowest and its highest point.

use std::collections::BTreeMap;

use stepwell_base::protocol::Measurement;

/// Parts of the x axis. Each keeps at most four points.
const BUCKETS: u64 = 500;
/// Most names of one series: a program may have 100, and a model has some for each layer.
const MOST_NAMES: usize = 400;

/// A training step and its value.
pub(super) type Point = (u64, f64);

/// All names of one series, thinned while the rows pass by.
pub(super) struct Thinner {
    first: u64,
    last: u64,
    columns: BTreeMap<String, Column>,
}

/// One name of a series.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Column {
    buckets: Vec<Bucket>,
    pub(super) rows: u64,
    pub(super) first: f64,
    pub(super) last: f64,
    pub(super) minimum: Option<Point>,
    /// Rows that are no number.
    pub(super) not_numbers: u64,
}

#[derive(Clone, Copy, PartialEq, Debug)]
struct Bucket {
    index: u64,
    first: Point,
    low: Point,
    high: Point,
    last: Point,
    /// Something that is no number follows.
    is_broken: bool,
}

impl Thinner {
    /// For rows of training steps between two bounds.
    pub(super) fn new(first: u64, last: u64) -> Thinner {
        Thinner { first, last, columns: BTreeMap::new() }
    }

    pub(super) fn push(&mut self, row: Measurement) {
        let span = u128::from(self.last.saturating_sub(self.first)) + 1;
        let place = u128::from(row.train_step.saturating_sub(self.first)) * u128::from(BUCKETS) / span;
        let index = u64::try_from(place).unwrap_or(u64::MAX);
        for (name, value) in row.values {
            if self.columns.len() < MOST_NAMES || self.columns.contains_key(&name) {
                self.columns.entry(name).or_default().push(index, (row.train_step, value));
            }
        }
    }

    pub(super) fn finish(self) -> BTreeMap<String, Column> {
        self.columns
    }
}

impl Column {
    fn push(&mut self, index: u64, point: Point) {
        let (_, value) = point;
        if self.rows == 0 {
            self.first = value;
        }
        self.rows += 1;
        self.last = value;
        let open = self.buckets.last_mut();
        if !value.is_finite() {
            self.not_numbers += 1;
            if let Some(open) = open {
                open.is_broken = true;
            }
            return;
        }
        if self.minimum.is_none_or(|(_, minimum)| value < minimum) {
            self.minimum = Some(point);
        }
        match open {
            // Many gaps in one part become one gap, behind it.
            Some(open) if open.index == index => {
                open.last = point;
                open.low = if value < open.low.1 { point } else { open.low };
                open.high = if value > open.high.1 { point } else { open.high };
            }
            _ => self.buckets.push(Bucket {
                index,
                first: point,
                low: point,
                high: point,
                last: point,
                is_broken: false,
            }),
        }
    }

    /// The training step of the last number.
    pub(super) fn last_step(&self) -> u64 {
        self.buckets.last().map_or(0, |bucket| bucket.last.0)
    }

    /// The points of each unbroken piece, in order.
    pub(super) fn pieces(&self) -> Vec<Vec<Point>> {
        let (mut pieces, mut piece) = (Vec::new(), Vec::new());
        for Bucket { first, low, high, last, is_broken, .. } in &self.buckets {
            let mut points = [*first, *low, *high, *last];
            points.sort_by_key(|(step, _)| *step);
            piece.extend(points);
            if *is_broken {
                piece.dedup();
                pieces.push(std::mem::take(&mut piece));
            }
        }
        piece.dedup();
        pieces.extend((!piece.is_empty()).then_some(piece));
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(last: u64, value: impl Fn(u64) -> f64) -> Column {
        let mut thinner = Thinner::new(1, last);
        for train_step in 1..=last {
            thinner.push(Measurement { train_step, values: [("x".to_owned(), value(train_step))].into() });
        }
        thinner.finish().remove("x").unwrap()
    }

    #[test]
    fn a_spike_of_one_step_in_a_million_stays() {
        let column = column(1_000_000, |step| match step {
            123_456 => 9.0,
            777_777 => -9.0,
            _ => 1.0,
        });
        let pieces = column.pieces();
        let points: Vec<Point> = pieces.concat();
        assert!(pieces.len() == 1 && points.len() <= 2000, "{}", points.len());
        assert!(points.contains(&(123_456, 9.0)) && points.contains(&(777_777, -9.0)));
        assert!(points.is_sorted_by_key(|(step, _)| *step));
        assert_eq!((points[0], points[points.len() - 1]), ((1, 1.0), (1_000_000, 1.0)));
        assert_eq!((column.rows, column.minimum), (1_000_000, Some((777_777, -9.0))));
    }

    #[test]
    fn few_points_stay_as_they_are_and_gaps_are_gaps() {
        let column = column(6, |step| if step == 3 { f64::NAN } else { step as f64 });
        assert_eq!(column.pieces(), [vec![(1, 1.0), (2, 2.0)], vec![(4, 4.0), (5, 5.0), (6, 6.0)]]);
        assert_eq!(column.not_numbers, 1);
    }

    #[test]
    fn many_gaps_stay_bounded() {
        let column = column(100_000, |step| if step % 2 == 0 { f64::NAN } else { 1.0 });
        assert!(column.pieces().concat().len() <= 2000);
    }
}
