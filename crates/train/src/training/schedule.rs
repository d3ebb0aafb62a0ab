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
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// `cosine`, `wsd`, `linear` or `constant`.
    pub kind: ScheduleKind,
    /// Warm-up steps; when absent, `warmup_fraction` of all steps, rounded up.
    pub warmup_steps: Option<u64>,
    /// Share of the steps in which the rate rises linearly from near 0 to its peak.
    pub warmup_fraction: f64,
    /// `wsd`: share of the steps, at the end, in which the rate falls linearly.
    pub decay_fraction: f64,
    /// The rate that the decay approaches, as a share of the peak.
    pub final_fraction: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    #[default]
    Cosine,
    Wsd,
    Linear,
    Constant,
}

impl Default for Schedule {
    fn default() -> Self {
        Schedule {
            kind: ScheduleKind::Cosine,
            warmup_steps: None,
            warmup_fraction: 0.03,
            decay_fraction: 0.2,
            final_fraction: 0.0,
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
}

impl Schedule {
    /// Checks the schedule for a run of `total` steps.
    ///
    /// # Errors
    /// `Fraction` when a fraction lies outside 0 to 1, `Warmup` when the warm-up is longer than the run.
    pub fn validate(&self, total: u64) -> Result<(), ScheduleError> {
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
        let warmup = self.warmup(total);
        if step < warmup {
            return (step + 1) as f64 / warmup as f64;
        }
        let remaining = total.saturating_sub(step) as f64;
        let after_warmup = total.saturating_sub(warmup).max(1) as f64;
        let kept = match self.kind {
            ScheduleKind::Constant => 1.0,
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
            ScheduleKind::Constant => 1.0,
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
