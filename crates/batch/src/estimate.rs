//! When a batch will be done, with an interval, and whether its deadline is in danger.

use serde::{Deserialize, Serialize};

/// Time that a sample must span before anything is said. Shorter ones would be all start-up.
const SHORTEST: f64 = 5.0;
/// Rows that a sample must have.
const FEWEST: usize = 4;
/// Half of the interval, in standard errors: about 90 %.
const DEVIATIONS: f64 = 1.645;
/// Number of parts of the time so far, whose speeds say how uneven the work is.
const PARTS: usize = 10;
/// Most points that are kept.
const MOST_POINTS: usize = 512;

/// Seconds until the batch is done.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Estimate {
    pub likely: f64,
    pub least: f64,
    pub most: f64,
}

/// Rows done over time. Seconds come from any monotonic clock.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    points: Vec<(f64, u64)>,
    /// Keep every so many points.
    stride: u32,
    skipped: u32,
}

impl Pace {
    /// Notes that `done` rows are done at `now`. Rows of earlier attempts and reused ones do not count.
    pub fn note(&mut self, now: f64, done: u64) {
        self.stride = self.stride.max(1);
        self.skipped += 1;
        if self.skipped >= self.stride || self.points.is_empty() {
            self.points.push((now, done));
            self.skipped = 0;
        }
        if self.points.len() >= MOST_POINTS {
            let mut index = 0;
            self.points.retain(|_| {
                index += 1;
                index % 2 == 1
            });
            self.stride *= 2;
        }
    }

    /// Rows per second over all of the time.
    pub fn rate(&self) -> Option<f64> {
        let (first, last) = (self.points.first()?, self.points.last()?);
        let (time, rows) = (last.0 - first.0, last.1.saturating_sub(first.1));
        (time > 0.0 && rows > 0).then(|| rows as f64 / time)
    }

    /// Time for `left` more rows; `None` while too little is known.
    pub fn estimate(&self, left: u64) -> Option<Estimate> {
        let (first, last) = (self.points.first()?, self.points.last()?);
        if last.0 - first.0 < SHORTEST || self.points.len() < FEWEST {
            return None;
        }
        let likely = left as f64 / self.rate()?;
        let spread = self.relative_error();
        Some(Estimate { likely, least: likely / (1.0 + spread), most: likely * (1.0 + spread) })
    }

    /// The error of the mean rate relative to it, from the rates of equal parts of the time.
    fn relative_error(&self) -> f64 {
        let (first, last) = (self.points[0], self.points[self.points.len() - 1]);
        let parts = PARTS.min(self.points.len() - 1).max(2);
        let at = |time: f64| {
            let after = self.points.partition_point(|point| point.0 < time).min(self.points.len() - 1);
            let before = after.saturating_sub(1);
            let ((t0, r0), (t1, r1)) = (self.points[before], self.points[after]);
            if t1 <= t0 { r1 as f64 } else { r0 as f64 + (r1 - r0) as f64 * ((time - t0) / (t1 - t0)).clamp(0.0, 1.0) }
        };
        let width = (last.0 - first.0) / parts as f64;
        let rows: Vec<f64> = (0..parts)
            .map(|part| at(first.0 + width * (part + 1) as f64) - at(first.0 + width * part as f64))
            .collect();
        let mean = rows.iter().sum::<f64>() / parts as f64;
        let variance = rows.iter().map(|rows| (rows - mean).powi(2)).sum::<f64>() / (parts - 1) as f64;
        DEVIATIONS * (variance / parts as f64).sqrt() / mean.max(f64::MIN_POSITIVE)
    }
}

/// Says once that a deadline is in danger.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Watch {
    alerted: bool,
}

impl Watch {
    /// A watch of a batch that has alerted before, or not.
    pub fn new(alerted: Alerted) -> Watch {
        Watch { alerted: alerted == Alerted::Before }
    }

    /// True the first time that even the least estimate is later than the deadline.
    pub fn alerts(&mut self, estimate: &Estimate, seconds_left: f64) -> bool {
        let now = !self.alerted && estimate.least > seconds_left;
        self.alerted |= now;
        now
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alerted {
    Never,
    Before,
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: f64 = 86_400.0;

    /// A batch of 50,000 rows at this speed, looked at every minute until it is done or a day is over: number of alerts.
    fn alerts(rows_per_hour: f64) -> u32 {
        let (mut pace, mut watch, mut alerts) = (Pace::default(), Watch::default(), 0);
        for minute in 0..(24 * 60) {
            let now = f64::from(minute) * 60.0;
            let done = ((now / 3600.0 * rows_per_hour) as u64).min(50_000);
            if done == 50_000 {
                break;
            }
            pace.note(now, done);
            if let Some(estimate) = pace.estimate(50_000 - done) {
                alerts += u32::from(watch.alerts(&estimate, DAY - now));
            }
        }
        alerts
    }

    #[test]
    fn nine_hours_are_silent_and_ninety_nine_alert_once() {
        assert_eq!(alerts(50_000.0 / 9.0), 0);
        assert_eq!(alerts(50_000.0 / 99.0), 1);
        let mut watch = Watch::new(Alerted::Before);
        assert!(!watch.alerts(&Estimate { likely: 9e9, least: 9e9, most: 9e9 }, 1.0), "an earlier attempt has told");
    }

    #[test]
    fn an_even_pace_is_certain_and_an_uneven_one_is_not() {
        let (mut even, mut uneven) = (Pace::default(), Pace::default());
        for second in 0_u32..600 {
            even.note(f64::from(second), u64::from(second) * 2);
            let hard = if second < 300 { u64::from(second) * 3 } else { 900 + u64::from(second - 300) };
            uneven.note(f64::from(second), hard);
        }
        let certain = even.estimate(1000).unwrap();
        assert!((certain.likely - 500.0).abs() < 5.0 && certain.most - certain.least < 30.0, "{certain:?}");
        let unsure = uneven.estimate(1000).unwrap();
        assert!(unsure.most - unsure.least > 200.0 && unsure.least < unsure.likely, "{unsure:?}");
    }

    #[test]
    fn little_says_nothing_and_points_are_bounded() {
        let mut pace = Pace::default();
        assert_eq!(pace.estimate(5), None);
        pace.note(0.0, 0);
        pace.note(1.0, 1);
        assert_eq!(pace.estimate(5), None);
        for second in 2..100_000 {
            pace.note(f64::from(second), second as u64);
        }
        assert!(pace.points.len() <= MOST_POINTS && (pace.rate().unwrap() - 1.0).abs() < 0.01);
    }
}
