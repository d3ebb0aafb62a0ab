//! Plan of a training run: phases, samples and learning rate of every step. Everything is pure arithmetic on the step
//! number, so a resumed run computes the same values.

use serde::{Deserialize, Serialize};

use super::guard::{GuardError, GuardRule};
use super::schedule::{Schedule, ScheduleError, validate_learning_rate};
use crate::precision::Precision;

/// A named part of the run, optionally with its own data, rate and context.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Phase {
    pub name: String,
    pub steps: u64,
    /// Factor on the learning rate of this phase.
    pub lr_scale: f64,
    /// Peak learning rate of this phase; the run's when absent.
    pub learning_rate: Option<f64>,
    /// Schedule over the steps of this phase alone; the run's schedule when absent.
    pub schedule: Option<Schedule>,
    /// Tokens per sample.
    pub context: usize,
    /// Number of lowest blocks that this phase does not train; the run's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freeze_layers: Option<usize>,
}

/// Settings of a run, except the model and the data.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Plan {
    pub seed: u64,
    /// Samples per micro-batch.
    pub batch: usize,
    /// Micro-batches per optimizer step.
    pub accumulation: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    pub schedule: Schedule,
    /// Global L2 norm to which gradients are clipped; 0 disables clipping.
    pub clip: f64,
    /// Optimizer steps between checkpoints; `None` lets the measured cost of a checkpoint decide.
    pub checkpoint_every: Option<u64>,
    /// Number of lowest blocks of the model that are not trained; see [`Transformer::with_frozen`].
    ///
    /// [`Transformer::with_frozen`]: crate::model::Transformer::with_frozen
    #[serde(default)]
    pub freeze_layers: usize,
    /// Precision of matrix products. Omitted when it is f32, so that files of f32 runs keep their bytes.
    #[serde(default, skip_serializing_if = "Precision::is_default")]
    pub precision: Precision,
    /// Weight of the z-loss; see [`Objective`]. Omitted when it is 0, for the same reason.
    ///
    /// [`Objective`]: crate::ops::Objective
    #[serde(default, skip_serializing_if = "is_zero")]
    pub z_loss: f64,
    /// Guard against steps that would spoil the model. Omitted without one, for the same reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<GuardRule>,
    pub phases: Vec<Phase>,
}

/// A plan that cannot be trained.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum PlanError {
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    #[error(transparent)]
    Guard(#[from] GuardError),
    #[error("phase `{phase}`")]
    Phase { phase: String, source: ScheduleError },
    #[error("`{0}` must be at least 1")]
    Zero(&'static str),
    #[error("`{name}` is {value}, more than the supported {limit}")]
    TooLarge { name: &'static str, value: u64, limit: u64 },
    #[error("`steps` x `batch` x `accumulation` x `context` are more tokens than can be counted")]
    TooManyTokens,
    #[error("phase `{0}` has no steps")]
    EmptyPhase(String),
    #[error("two phases are named `{0}`")]
    DuplicatePhase(String),
    #[error("`clip` is {0}: it must be 0 (off) or a finite number above 0")]
    Clip(f64),
    #[error("`z_loss` is {0}: it must be 0 (off) or a number from 1e-9 to 1")]
    ZLoss(f64),
}

fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

/// Position of one optimizer step in the plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Index of the phase.
    pub phase: usize,
    /// 0-based step inside the phase.
    pub step: u64,
}

impl Plan {
    /// Checks that training with these settings is possible.
    ///
    /// # Errors
    /// A [`PlanError`] that names the first setting which makes it impossible.
    pub fn validate(&self) -> Result<(), PlanError> {
        validate_learning_rate(self.learning_rate)?;
        for (name, value) in [
            ("batch", self.batch as u64),
            ("accumulation", self.accumulation as u64),
            ("steps", self.steps()),
            ("checkpoint_every", self.checkpoint_every.unwrap_or(1)),
        ] {
            if value == 0 {
                return Err(PlanError::Zero(name));
            }
        }
        self.validate_size()?;
        if !(self.clip.is_finite() && self.clip >= 0.0) {
            return Err(PlanError::Clip(self.clip));
        }
        if !(self.z_loss == 0.0 || (1e-9..=1.0).contains(&self.z_loss)) {
            return Err(PlanError::ZLoss(self.z_loss));
        }
        if let Some(guard) = &self.guard {
            guard.validate(self.checkpoint_every)?;
        }
        self.schedule.validate(self.steps())?;
        for (index, phase) in self.phases.iter().enumerate() {
            let of_phase = |source| PlanError::Phase { phase: phase.name.clone(), source };
            if phase.steps == 0 {
                return Err(PlanError::EmptyPhase(phase.name.clone()));
            }
            if self.phases[..index].iter().any(|other| other.name == phase.name) {
                return Err(PlanError::DuplicatePhase(phase.name.clone()));
            }
            let peak = phase.learning_rate.unwrap_or(self.learning_rate) * phase.lr_scale;
            validate_learning_rate(peak).map_err(of_phase)?;
            if let Some(schedule) = &phase.schedule {
                schedule.validate(phase.steps).map_err(of_phase)?;
            }
        }
        Ok(())
    }

    /// Keeps cursors and token counts from overflowing.
    fn validate_size(&self) -> Result<(), PlanError> {
        const LIMIT: u64 = 1 << 20;
        for (name, value) in [("batch", self.batch as u64), ("accumulation", self.accumulation as u64)] {
            if value > LIMIT {
                return Err(PlanError::TooLarge { name, value, limit: LIMIT });
            }
        }
        let context = self.phases.iter().map(|phase| phase.context as u128).max().unwrap_or(1);
        let tokens = u128::from(self.steps()).saturating_mul(self.samples_per_step().into()).saturating_mul(context);
        if i64::try_from(tokens).is_ok() { Ok(()) } else { Err(PlanError::TooManyTokens) }
    }

    /// Number of optimizer steps over all phases.
    pub fn steps(&self) -> u64 {
        self.phases.iter().fold(0, |steps, phase| steps.saturating_add(phase.steps))
    }

    pub fn samples_per_step(&self) -> u64 {
        (self.batch * self.accumulation) as u64
    }

    /// Data cursor after `steps` steps: the number of samples consumed since the run started.
    pub fn cursor(&self, steps: u64) -> u64 {
        steps * self.samples_per_step()
    }

    /// Locates the 0-based `step`. A step past the end belongs to the last phase.
    pub fn place(&self, step: u64) -> Place {
        let mut first = 0;
        for (index, phase) in self.phases.iter().enumerate() {
            if step < first + phase.steps || index + 1 == self.phases.len() {
                return Place { phase: index, step: step - first };
            }
            first += phase.steps;
        }
        Place { phase: 0, step }
    }

    /// Newest step before the 0-based `step` with a checkpoint in every training of this plan: one of
    /// `checkpoint_every`, or the start of the phase.
    pub fn fixed_checkpoint(&self, step: u64) -> u64 {
        let phase_started = step - self.place(step).step;
        let every = self.checkpoint_every.unwrap_or(u64::MAX);
        phase_started.max(step / every * every)
    }

    /// Number of blocks that the 0-based `step` does not train.
    pub fn frozen(&self, step: u64) -> usize {
        let phase = self.phases.get(self.place(step).phase);
        phase.and_then(|phase| phase.freeze_layers).unwrap_or(self.freeze_layers)
    }

    /// True when a phase ends once `steps` steps are done.
    pub fn ends_phase(&self, steps: u64) -> bool {
        let mut end = 0;
        self.phases.iter().any(|phase| {
            end += phase.steps;
            end == steps
        })
    }

    /// Learning rate of the 0-based `step`.
    pub fn learning_rate(&self, step: u64) -> f64 {
        let place = self.place(step);
        let phase = &self.phases[place.phase];
        let factor = match &phase.schedule {
            Some(schedule) => schedule.factor(place.step, phase.steps),
            None => self.schedule.factor(step, self.steps()),
        };
        phase.learning_rate.unwrap_or(self.learning_rate) * phase.lr_scale * factor
    }

    /// Positions that pass through the model in the first `steps` steps.
    pub fn tokens(&self, steps: u64) -> u64 {
        let mut left = steps;
        let mut tokens = 0;
        for phase in &self.phases {
            let here = left.min(phase.steps);
            tokens += here * self.samples_per_step() * phase.context as u64;
            left -= here;
        }
        tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::schedule::ScheduleKind;

    fn phase(name: &str, steps: u64) -> Phase {
        Phase {
            name: name.to_owned(),
            steps,
            lr_scale: 1.0,
            learning_rate: None,
            schedule: None,
            context: 8,
            freeze_layers: None,
        }
    }

    fn plan(phases: Vec<Phase>) -> Plan {
        Plan {
            seed: 1,
            batch: 2,
            accumulation: 3,
            learning_rate: 1e-2,
            schedule: Schedule { kind: ScheduleKind::Linear, warmup_steps: Some(0), ..Schedule::default() },
            clip: 1.0,
            checkpoint_every: Some(10),
            freeze_layers: 0,
            precision: Precision::F32,
            z_loss: 0.0,
            guard: None,
            phases,
        }
    }

    #[test]
    fn steps_fall_into_phases() {
        let plan = plan(vec![phase("a", 3), phase("b", 5)]);
        assert_eq!(plan.place(0), Place { phase: 0, step: 0 });
        assert_eq!(plan.place(2), Place { phase: 0, step: 2 });
        assert_eq!(plan.place(3), Place { phase: 1, step: 0 });
        assert_eq!(plan.place(7), Place { phase: 1, step: 4 });
        assert!(plan.ends_phase(3) && plan.ends_phase(8) && !plan.ends_phase(5) && !plan.ends_phase(0));
        assert_eq!((plan.cursor(4), plan.tokens(4)), (24, 192));
    }

    #[test]
    fn fixed_checkpoints_are_multiples_and_starts_of_phases() {
        let plan = plan(vec![phase("a", 13), phase("b", 20)]);
        let points = [0, 9, 10, 12, 13, 19, 20, 32].map(|step| plan.fixed_checkpoint(step));
        assert_eq!(points, [0, 0, 10, 10, 13, 13, 20, 30]);
        let by_time = Plan { checkpoint_every: None, ..plan };
        assert_eq!([12, 13, 32].map(|step| by_time.fixed_checkpoint(step)), [0, 13, 13]);
    }

    #[test]
    fn a_phase_may_scale_the_rate_or_bring_its_own() {
        let mut second = phase("b", 5);
        second.lr_scale = 0.5;
        let mut third = phase("c", 4);
        third.learning_rate = Some(3e-3);
        third.schedule = Some(Schedule { kind: ScheduleKind::Constant, warmup_steps: Some(2), ..Schedule::default() });
        let plan = plan(vec![phase("a", 3), second, third]);
        assert!((plan.learning_rate(0) - 1e-2).abs() < 1e-15);
        assert!((plan.learning_rate(6) - 1e-2 * 0.5 * 0.5).abs() < 1e-15);
        assert!((plan.learning_rate(8) - 1.5e-3).abs() < 1e-15);
        assert!((plan.learning_rate(11) - 3e-3).abs() < 1e-15);
    }

    #[test]
    fn impossible_plans_are_refused_by_name() {
        let nan = Plan { learning_rate: f64::NAN, ..plan(vec![phase("a", 3)]) };
        assert!(nan.validate().unwrap_err().to_string().contains("the learning rate is NaN"));
        assert_eq!(plan(Vec::new()).validate(), Err(PlanError::Zero("steps")));
        assert_eq!(plan(vec![phase("a", 1), phase("a", 1)]).validate(), Err(PlanError::DuplicatePhase("a".into())));
        assert_eq!(plan(vec![phase("a", 1), phase("b", 0)]).validate(), Err(PlanError::EmptyPhase("b".into())));
        let huge = Plan { batch: usize::MAX, ..plan(vec![phase("a", 3)]) };
        let message = huge.validate().unwrap_err().to_string();
        assert_eq!(message, "`batch` is 18446744073709551615, more than the supported 1048576");
        let endless = plan(vec![phase("a", u64::MAX), phase("b", u64::MAX)]);
        assert_eq!(endless.validate(), Err(PlanError::TooManyTokens));
        assert_eq!(plan(vec![phase("a", 1 << 40)]).validate(), Ok(()));
        let mut scaled = phase("a", 1);
        scaled.lr_scale = -1.0;
        assert!(matches!(plan(vec![scaled]).validate(), Err(PlanError::Phase { .. })));
    }
}
