//! Learning-rate schedules: pure functions of (step, total). A resumed run computes the same rate, because nothing is
//! counted, remembered or rebuilt from the steps that remain.

use serde::{Deserialize, Serialize};

use crate::precision::is_positive_f32;

/// Learning rate over a run of `total` steps.
///
/// With `s` the 0-based step about to be taken, `w` the warm-up steps, `f` the final
/// fraction and `peak` the learning rate:
///
/// * warm-up, `s < w`: `peak * (s + 1) / w`
/// * cosine: `peak * (f + (1 - f) / 2 * (1 + cos(pi * p)))`, `p = (s - w) / (total - w)`
/// * linear: `peak * (f + (1 - f) * (1 - p))`
/// * WSD (warm-up, stable, decay; Hu et al. 2024): `peak` until `total - d`, then
///   `peak * (f + (1 - f) * (total - s) / d)` over the last `d` steps
/// * constant: `peak`
/// * points: straight lines between the factors of the points, without a warm-up; level before the first and after the
///   last point
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// `cosine`, `wsd`, `linear`, `constant`, or `points`, which `points` imply.
    pub kind: ScheduleKind,
    /// Warm-up steps; when absent, `warmup_fraction` of all steps, rounded up.
    pub warmup_steps: Option<u64>,
    /// Share of the steps in which the rate rises linearly from near 0 to its peak.
    pub warmup_fraction: f64,
    /// `wsd`: share of the steps, at the end, in which the rate falls linearly.
    pub decay_fraction: f64,
    /// The rate that the decay approaches, as a share of the peak.
    pub final_fraction: f64,
    /// `[step, factor on the peak rate]` in rising order of the steps, such as `[[0, 0.0], [100, 1.0], [1000, 0.1]]`. The
    /// rate follows straight lines between them; the other settings must be left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<(u64, f64)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    #[default]
    Cosine,
    Wsd,
    Linear,
    Constant,
    Points,
}

/// Largest number of points, and largest factor of one.
const MOST_POINTS: usize = 10_000;
const LARGEST_FACTOR: f64 = 1000.0;

impl Default for Schedule {
    fn default() -> Self {
        Schedule {
            kind: ScheduleKind::Cosine,
            warmup_steps: None,
            warmup_fraction: 0.03,
            decay_fraction: 0.2,
            final_fraction: 0.0,
            points: Vec::new(),
        }
    }
}

/// A schedule or learning rate that cannot train anything.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum ScheduleError {
    #[error("the learning rate is {0:?}: it must be a number from 1.2e-38 to 3.4e38, which f32 can hold")]
    LearningRate(f64),
    #[error("`{name}` is {value}: it must lie between 0 and 1")]
    Fraction { name: &'static str, value: f64 },
    #[error("the warm-up of {warmup} steps does not fit into {total} steps")]
    Warmup { warmup: u64, total: u64 },
    #[error(
        "point {number} of `schedule.points` is at step {step}, the one before at step {before}: their steps must rise"
    )]
    PointsFallBack { number: usize, step: u64, before: u64 },
    #[error("point {number} of `schedule.points` has the factor {factor}: it must be a number from 0 to 1000")]
    PointFactor { number: usize, factor: f64 },
    #[error("`schedule.points` has no factor above 0: nothing would be trained")]
    NoRate,
    #[error("`schedule.points` has {0} points; it must have 1 to 10000")]
    PointCount(usize),
    #[error("`schedule.points` decides the whole rate: leave `schedule.{0}` out")]
    BesidePoints(&'static str),
}

impl ScheduleError {
    /// True for what is wrong with points.
    pub fn is_about_points(&self) -> bool {
        !matches!(self, ScheduleError::LearningRate(_) | ScheduleError::Fraction { .. } | ScheduleError::Warmup { .. })
    }
}

impl Schedule {
    /// A schedule through these points.
    pub fn through(points: Vec<(u64, f64)>) -> Self {
        Schedule { kind: ScheduleKind::Points, points, ..Schedule::default() }
    }

    fn has_points(&self) -> bool {
        self.kind == ScheduleKind::Points || !self.points.is_empty()
    }

    fn validate_points(&self) -> Result<(), ScheduleError> {
        let beside = [
            ("kind", !matches!(self.kind, ScheduleKind::Points | ScheduleKind::Cosine)),
            ("warmup_steps", self.warmup_steps.is_some()),
        ];
        if let Some((name, _)) = beside.iter().find(|(_, given)| *given) {
            return Err(ScheduleError::BesidePoints(name));
        }
        if !(1..=MOST_POINTS).contains(&self.points.len()) {
            return Err(ScheduleError::PointCount(self.points.len()));
        }
        for (number, (_, factor)) in (1..).zip(&self.points) {
            if !(0.0..=LARGEST_FACTOR).contains(factor) {
                return Err(ScheduleError::PointFactor { number, factor: *factor });
            }
        }
        for (number, pair) in (2..).zip(self.points.windows(2)) {
            let (before, step) = (pair[0].0, pair[1].0);
            if step <= before {
                return Err(ScheduleError::PointsFallBack { number, step, before });
            }
        }
        if self.points.iter().any(|(_, factor)| *factor > 0.0) { Ok(()) } else { Err(ScheduleError::NoRate) }
    }

    /// Checks the schedule for a run of `total` steps.
    ///
    /// # Errors
    /// `Fraction` when a fraction lies outside 0 to 1, `Warmup` when the warm-up is longer than the run, the others for
    /// points that make no schedule.
    pub fn validate(&self, total: u64) -> Result<(), ScheduleError> {
        if self.has_points() {
            return self.validate_points();
        }
        for (name, value) in [
            ("warmup_fraction", self.warmup_fraction),
            ("decay_fraction", self.decay_fraction),
            ("final_fraction", self.final_fraction),
        ] {
            if !(0.0..=1.0).contains(&value) {
                return Err(ScheduleError::Fraction { name, value });
            }
        }
        let warmup = self.warmup(total);
        if warmup > total { Err(ScheduleError::Warmup { warmup, total }) } else { Ok(()) }
    }

    /// Share of the peak rate for the 0-based `step` of `total`.
    pub fn factor(&self, step: u64, total: u64) -> f64 {
        if self.has_points() {
            return along(&self.points, step);
        }
        let warmup = self.warmup(total);
        if step < warmup {
            return (step + 1) as f64 / warmup as f64;
        }
        let remaining = total.saturating_sub(step) as f64;
        let after_warmup = total.saturating_sub(warmup).max(1) as f64;
        let kept = match self.kind {
            ScheduleKind::Constant | ScheduleKind::Points => 1.0,
            ScheduleKind::Linear => remaining / after_warmup,
            ScheduleKind::Cosine => {
                let progress = 1.0 - remaining / after_warmup;
                0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
            }
            ScheduleKind::Wsd => {
                let decay = share(self.decay_fraction, total).min(total.saturating_sub(warmup));
                if total.saturating_sub(step) >= decay { 1.0 } else { remaining / decay as f64 }
            }
        };
        self.final_fraction + (1.0 - self.final_fraction) * kept
    }

    fn warmup(&self, total: u64) -> u64 {
        self.warmup_steps.unwrap_or_else(|| share(self.warmup_fraction, total))
    }
}

/// Value at `step` of the straight lines through the points.
fn along(points: &[(u64, f64)], step: u64) -> f64 {
    let after = points.partition_point(|(at, _)| *at <= step);
    match (after.checked_sub(1).map(|before| points[before]), points.get(after)) {
        (Some((from, start)), Some((to, end))) => start + (end - start) * ((step - from) as f64 / (to - from) as f64),
        (Some((_, level)), None) => level,
        (None, Some((_, level))) => *level,
        (None, None) => 1.0,
    }
}

/// `fraction` of `total` steps, rounded up.
fn share(fraction: f64, total: u64) -> u64 {
    (fraction * total as f64).ceil() as u64
}

/// Checks a learning rate.
///
/// # Errors
/// When `rate` is NaN, zero, negative, or beyond what f32 holds.
pub fn validate_learning_rate(rate: f64) -> Result<(), ScheduleError> {
    if is_positive_f32(rate) { Ok(()) } else { Err(ScheduleError::LearningRate(rate)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(kind: ScheduleKind, warmup: u64, final_fraction: f64) -> Schedule {
        Schedule { kind, warmup_steps: Some(warmup), final_fraction, ..Schedule::default() }
    }

    /// The documented formulas once more, in terms of progress instead of the remaining steps.
    fn closed_form(kind: ScheduleKind, s: f64, w: f64, total: f64, f: f64) -> f64 {
        if s < w {
            return (s + 1.0) / w;
        }
        let p = (s - w) / (total - w);
        match kind {
            ScheduleKind::Constant | ScheduleKind::Points => 1.0,
            ScheduleKind::Linear => 1.0 - (1.0 - f) * p,
            ScheduleKind::Cosine => f + (1.0 - f) * (std::f64::consts::FRAC_PI_2 * p).cos().powi(2),
            ScheduleKind::Wsd => {
                let d = (0.2 * total).ceil();
                if s <= total - d { 1.0 } else { f + (1.0 - f) * (total - s) / d }
            }
        }
    }

    #[test]
    fn every_shape_equals_its_closed_formula() {
        for kind in [ScheduleKind::Cosine, ScheduleKind::Wsd, ScheduleKind::Linear, ScheduleKind::Constant] {
            for (total, warmup, f) in [(100, 10, 0.1), (1000, 30, 0.0), (7, 1, 0.5), (1, 0, 0.0)] {
                let built = schedule(kind, warmup, f);
                for s in 0..total {
                    let wanted = closed_form(kind, s as f64, warmup as f64, total as f64, f);
                    let got = built.factor(s, total);
                    assert!((got - wanted).abs() < 1e-9, "{kind:?} step {s} of {total}: {got} is not {wanted}");
                }
            }
        }
    }

    /// Golden values from `transformers`; see `scripts/golden/README.md`.
    #[test]
    fn equals_the_golden_schedules() {
        #[derive(Deserialize)]
        struct File {
            cases: Vec<Case>,
        }
        #[derive(Deserialize)]
        struct Case {
            shape: ScheduleKind,
            total: u64,
            warmup_steps: u64,
            decay_fraction: f64,
            final_fraction: f64,
            peak: f64,
            lr: Vec<f64>,
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/golden/schedules.json");
        let file: File = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert!(file.cases.len() > 3);
        for case in file.cases {
            let Case { shape: kind, decay_fraction, final_fraction, .. } = case;
            let warmup_steps = Some(case.warmup_steps);
            let schedule = Schedule { kind, warmup_steps, decay_fraction, final_fraction, ..Schedule::default() };
            for (step, wanted) in case.lr.iter().enumerate() {
                let got = case.peak * schedule.factor(step as u64, case.total);
                assert!((got - wanted).abs() < 1e-9, "{kind:?} step {step}: {got} is not {wanted}");
            }
        }
    }

    #[test]
    fn known_values_of_a_hundred_steps() {
        let cosine = schedule(ScheduleKind::Cosine, 10, 0.0);
        assert!((cosine.factor(0, 100) - 0.1).abs() < 1e-12);
        assert!((cosine.factor(9, 100) - 1.0).abs() < 1e-12);
        assert!((cosine.factor(55, 100) - 0.5).abs() < 1e-12);
        let wsd = schedule(ScheduleKind::Wsd, 10, 0.0);
        assert!((wsd.factor(80, 100) - 1.0).abs() < 1e-12);
        assert!((wsd.factor(90, 100) - 0.5).abs() < 1e-12);
        assert!((wsd.factor(99, 100) - 0.05).abs() < 1e-12);
    }

    /// The formula of a line in its two-point form.
    #[test]
    fn points_are_joined_by_straight_lines() {
        let points = vec![(3, 0.25), (100, 1.0), (101, 0.5), (1000, 0.1)];
        let schedule = Schedule::through(points.clone());
        assert_eq!(schedule.validate(2000), Ok(()));
        for s in 0..1200 {
            let line = points.windows(2).find(|pair| (pair[0].0..pair[1].0).contains(&s));
            let wanted = match line {
                Some(pair) => {
                    let [(x0, y0), (x1, y1)] = [pair[0], pair[1]].map(|(x, y)| (x as f64, y));
                    (y0 * (x1 - s as f64) + y1 * (s as f64 - x0)) / (x1 - x0)
                }
                None if s < 3 => 0.25,
                None => 0.1,
            };
            assert!((schedule.factor(s, 7) - wanted).abs() < 1e-9, "step {s}");
        }
        let from_file: Schedule = serde_json::from_str(r#"{"points": [[0, 0], [10, 1]]}"#).unwrap();
        assert_eq!((from_file.factor(5, 20), from_file.validate(20)), (0.5, Ok(())));
        let written = serde_json::to_string(&Schedule::default()).unwrap();
        assert!(!written.contains("points"), "files of other schedules keep their bytes: {written}");
    }

    #[test]
    fn points_without_a_meaning_are_refused() {
        let refused = |points: &[(u64, f64)]| Schedule::through(points.to_vec()).validate(10).unwrap_err();
        assert_eq!(refused(&[]), ScheduleError::PointCount(0));
        assert_eq!(refused(&[(0, 1.0); 10_001]), ScheduleError::PointCount(10_001));
        assert_eq!(refused(&[(0, 0.0), (9, 0.0)]), ScheduleError::NoRate);
        assert_eq!(refused(&[(0, 1.0), (9, -0.1)]), ScheduleError::PointFactor { number: 2, factor: -0.1 });
        let back = refused(&[(0, 1.0), (100, 0.5), (50, 0.1)]);
        assert_eq!(
            back.to_string(),
            "point 3 of `schedule.points` is at step 50, the one before at step 100: their steps must rise"
        );
        assert!(matches!(refused(&[(5, 1.0), (5, 0.5)]), ScheduleError::PointsFallBack { number: 2, .. }));
        let both = Schedule { warmup_steps: Some(3), ..Schedule::through(vec![(0, 1.0)]) };
        assert_eq!(both.validate(10), Err(ScheduleError::BesidePoints("warmup_steps")));
        let both = Schedule { kind: ScheduleKind::Wsd, ..Schedule::through(vec![(0, 1.0)]) };
        assert_eq!(both.validate(10), Err(ScheduleError::BesidePoints("kind")));
    }

    #[test]
    fn the_rate_depends_on_the_whole_run_not_on_what_remains() {
        let schedule = Schedule::default();
        assert!(schedule.factor(50, 100) != schedule.factor(0, 50), "rebuilt from the remaining steps");
    }

    #[test]
    fn senseless_rates_and_fractions_are_refused() {
        for rate in [f64::NAN, f64::INFINITY, 0.0, -0.0, -1e-3, 5e-324, 1e-45, 1e-38, 3.5e38, f64::MAX] {
            assert!(validate_learning_rate(rate).is_err(), "{rate}");
        }
        for rate in [1.2e-38, 1e-3, 1e9, 3.4e38] {
            assert_eq!(validate_learning_rate(rate), Ok(()));
        }
        assert!(Schedule { warmup_fraction: f64::NAN, ..Schedule::default() }.validate(10).is_err());
        assert_eq!(
            schedule(ScheduleKind::Cosine, 11, 0.0).validate(10),
            Err(ScheduleError::Warmup { warmup: 11, total: 10 })
        );
    }
}
