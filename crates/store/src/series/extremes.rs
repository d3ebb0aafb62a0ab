//! The extremes of some neighbouring values.

/// A value with its training step.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Point {
    pub train_step: u64,
    pub value: f64,
}

/// The lowest, the highest, the first and the last of some values, and one that is no number.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Extremes {
    pub first: Point,
    pub last: Point,
    pub low: Point,
    pub high: Point,
    /// Training step of a value that is no number.
    pub not_a_number: Option<u64>,
    pub count: u64,
}

impl Extremes {
    pub fn of(point: Point) -> Extremes {
        let not_a_number = (!point.value.is_finite()).then_some(point.train_step);
        Extremes { first: point, last: point, low: point, high: point, not_a_number, count: 1 }
    }

    /// Adds what follows.
    pub fn add(&mut self, next: &Extremes) {
        let is_number = |point: &Point| point.value.is_finite();
        if is_number(&next.low) && (!is_number(&self.low) || next.low.value < self.low.value) {
            self.low = next.low;
        }
        if is_number(&next.high) && (!is_number(&self.high) || next.high.value > self.high.value) {
            self.high = next.high;
        }
        self.last = next.last;
        self.not_a_number = self.not_a_number.or(next.not_a_number);
        self.count += next.count;
    }

    /// The points that a picture needs, in order: the lowest, the highest, and a gap where a value is no number.
    pub fn points(&self) -> Vec<Point> {
        let mut points = vec![self.low, self.high];
        points.extend(self.not_a_number.map(|train_step| Point { train_step, value: f64::NAN }));
        points.retain(|point| point.value.is_finite() || self.not_a_number == Some(point.train_step));
        points.sort_by_key(|point| point.train_step);
        points.dedup_by_key(|point| point.train_step);
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Extremes {
        let mut points = values.iter().enumerate().map(|(index, &value)| Point { train_step: index as u64, value });
        let mut all = Extremes::of(points.next().unwrap());
        points.for_each(|point| all.add(&Extremes::of(point)));
        all
    }

    fn shown(extremes: &Extremes) -> Vec<(u64, String)> {
        extremes.points().iter().map(|point| (point.train_step, point.value.to_string())).collect()
    }

    #[test]
    fn the_lowest_and_the_highest_stay_in_order() {
        let points = shown(&of(&[3.0, 9.0, 1.0, 4.0]));
        assert_eq!(points, [(1, "9".to_owned()), (2, "1".to_owned())]);
        assert_eq!(shown(&of(&[5.0, 5.0])).len(), 1);
    }

    #[test]
    fn what_is_no_number_is_a_gap_and_hides_nothing() {
        let points = shown(&of(&[f64::NAN, 2.0, 1.0, f64::INFINITY]));
        assert_eq!(points, [(0, "NaN".to_owned()), (1, "2".to_owned()), (2, "1".to_owned())]);
        assert_eq!(shown(&of(&[f64::NAN])), [(0, "NaN".to_owned())]);
    }
}
