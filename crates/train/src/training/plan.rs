//! Plan of a training run: phases, samples and learning rate of every step. Everything is pure arithmetic on the step
//! number, so a resumed run computes the same values.

use serde::{Deserialize, Serialize};

use super::guard::{GuardError, GuardRule, Rewind};
use super::phase::Phase;
use super::preference::PreferenceObjective;
use super::ramp::{self, LayerRamp, RampError};
use super::schedule::{Schedule, ScheduleError, validate_learning_rate};
use crate::model::lora::LoraConfig;
use crate::precision::Precision;

/// Settings of a run, except the model and the data.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
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
    /// Decay of the average of the weights. Omitted without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema: Option<f64>,
    /// Tokens of an optimizer step, from the 0-based step of each point on; `accumulation` follows from them. Omitted
    /// without one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub batch_ramp: Vec<(u64, u64)>,
    /// Numbers of lowest blocks that are not trained over the steps of the run, in place of one number. Omitted
    /// without one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freeze_ramp: LayerRamp,
    /// Adapters that are trained in place of the weights. Omitted without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraConfig>,
    /// What is learned from preferences, in place of the next token. Omitted without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preference: Option<PreferenceObjective>,
    pub phases: Vec<Phase>,
}

/// A plan that cannot be trained.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum PlanError {
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    #[error(transparent)]
    Guard(#[from] GuardError),
    #[error(transparent)]
    Ramp(#[from] RampError),
    #[error("phase `{phase}`")]
    Phase { phase: String, source: ScheduleError },
    #[error("phase `{phase}`")]
    RampOfPhase { phase: String, source: RampError },
    #[error("point {number} of `batch_ramp` is at step {step}: the first must be at step 0, and steps must rise")]
    BatchRampStep { number: usize, step: u64 },
    #[error("`batch_ramp` asks for {tokens} tokens per step, which is no multiple of `batch` x `context` = {unit}")]
    BatchRampTokens { tokens: u64, unit: u64 },
    #[error("`{name}` of `loss_weights` in phase `{phase}` is {value}: it must be {rule}")]
    LossWeight { phase: String, name: &'static str, value: f64, rule: &'static str },
    #[error("`ema` is {0}: it must be a number above 0 and below 1")]
    Ema(f64),
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
        if let Some(decay) = self.ema.filter(|decay| !(*decay > 0.0 && *decay < 1.0)) {
            return Err(PlanError::Ema(decay));
        }
        self.validate_batch_ramp()?;
        if !self.freeze_ramp.is_empty() {
            ramp::validate("freeze_ramp", &self.freeze_ramp, self.steps())?;
        }
        self.schedule.validate(self.steps())?;
        for (index, phase) in self.phases.iter().enumerate() {
            let of_phase = |source| PlanError::Phase { phase: phase.name.clone(), source };
            if phase.steps == 0 {
                return Err(PlanError::EmptyPhase(phase.name.clone()));
            }
            let before = &self.phases[..index];
            let is_part = before.last().is_some_and(|before| phase.continues(before));
            if !is_part && before.iter().any(|other| other.name == phase.name) {
                return Err(PlanError::DuplicatePhase(phase.name.clone()));
            }
            let (_, steps) = phase.in_whole(0);
            if !phase.freeze_ramp.is_empty() {
                ramp::validate("freeze_ramp", &phase.freeze_ramp, steps)
                    .map_err(|source| PlanError::RampOfPhase { phase: phase.name.clone(), source })?;
            }
            validate_loss_weights(phase)?;
            let peak = phase.learning_rate.unwrap_or(self.learning_rate) * phase.lr_scale;
            validate_learning_rate(peak).map_err(of_phase)?;
            if let Some(schedule) = &phase.schedule {
                schedule.validate(steps).map_err(of_phase)?;
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
        let per_step = (self.batch * self.accumulation) as u128 * context;
        let most = self.batch_ramp.iter().map(|(_, tokens)| u128::from(*tokens)).fold(per_step, u128::max);
        let tokens = u128::from(self.steps()).saturating_mul(most);
        if i64::try_from(tokens).is_ok() { Ok(()) } else { Err(PlanError::TooManyTokens) }
    }

    fn validate_batch_ramp(&self) -> Result<(), PlanError> {
        let mut before = None;
        for (number, (step, tokens)) in (1..).zip(&self.batch_ramp) {
            if before.map_or(*step != 0, |before| *step <= before) {
                return Err(PlanError::BatchRampStep { number, step: *step });
            }
            before = Some(*step);
            for phase in &self.phases {
                let unit = (self.batch * phase.context) as u64;
                if *tokens == 0 || unit == 0 || !tokens.is_multiple_of(unit) {
                    return Err(PlanError::BatchRampTokens { tokens: *tokens, unit });
                }
            }
        }
        Ok(())
    }

    /// Number of optimizer steps over all phases.
    pub fn steps(&self) -> u64 {
        self.phases.iter().fold(0, |steps, phase| steps.saturating_add(phase.steps))
    }

    /// Micro-batches of the 0-based `step`.
    pub fn accumulation_at(&self, step: u64) -> u64 {
        let point = self.batch_ramp.iter().rev().find(|(from, _)| *from <= step);
        point.map_or(self.accumulation as u64, |(_, tokens)| {
            let context = self.phases[self.place(step).phase].context;
            tokens / (self.batch * context) as u64
        })
    }

    /// Samples of the 0-based `step`.
    pub fn samples_at(&self, step: u64) -> u64 {
        self.batch as u64 * self.accumulation_at(step)
    }

    /// Micro-batches of the first `steps` steps.
    pub fn micro_batches(&self, steps: u64) -> u64 {
        self.total(steps, |_| 1)
    }

    /// Data cursor after `steps` steps: the number of samples consumed since the run started.
    pub fn cursor(&self, steps: u64) -> u64 {
        self.batch as u64 * self.micro_batches(steps)
    }

    /// Data cursor after `steps` steps of a training that went back: it also passed the samples that it left out.
    pub fn cursor_with(&self, steps: u64, rewinds: &[Rewind]) -> u64 {
        let skipped = rewinds.iter().map(|rewind| self.cursor(rewind.from) - self.cursor(rewind.to));
        self.cursor(steps) + skipped.sum::<u64>()
    }

    /// Samples of a phase.
    pub fn samples_of(&self, phase: usize) -> u64 {
        let before: u64 = self.phases[..phase].iter().map(|phase| phase.steps).sum();
        self.cursor(before + self.phases[phase].steps) - self.cursor(before)
    }

    /// Sum over the micro-batches of the first `steps` steps.
    fn total(&self, steps: u64, of_micro_batch: impl Fn(&Phase) -> u64) -> u64 {
        let (mut from, mut total) = (0, 0);
        while from < steps {
            let place = self.place(from);
            let phase_end = match self.phases.get(place.phase + 1) {
                Some(_) => from - place.step + self.phases[place.phase].steps,
                None => u64::MAX,
            };
            let next = self.batch_ramp.iter().map(|(step, _)| *step).find(|step| *step > from);
            let until = steps.min(phase_end).min(next.unwrap_or(u64::MAX));
            let each = self.phases.get(place.phase).map_or(1, &of_micro_batch);
            total += (until - from) * self.accumulation_at(from) * each;
            from = until;
        }
        total
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
        let place = self.place(step);
        let of_run = || ramp::at(&self.freeze_ramp, step, self.steps()).unwrap_or(self.freeze_layers);
        let Some(phase) = self.phases.get(place.phase) else { return of_run() };
        let (in_phase, of) = phase.in_whole(place.step);
        ramp::at(&phase.freeze_ramp, in_phase, of).or(phase.freeze_layers).unwrap_or_else(of_run)
    }

    /// True when a phase, or a part of one with its own context, ends once `steps` steps are done.
    pub fn ends_phase(&self, steps: u64) -> bool {
        self.ended_by(steps).is_some()
    }

    /// True when a whole phase ends once `steps` steps are done.
    pub fn ends_whole_phase(&self, steps: u64) -> bool {
        self.ended_by(steps).is_some_and(Phase::is_last_part)
    }

    /// Steps done at the end of the whole phase of the 0-based `step`.
    pub fn phase_end(&self, step: u64) -> u64 {
        let place = self.place(step);
        let (in_whole, of) = self.phases[place.phase].in_whole(place.step);
        step - in_whole + of
    }

    fn ended_by(&self, steps: u64) -> Option<&Phase> {
        let mut end = 0;
        self.phases.iter().find(|phase| {
            end += phase.steps;
            end == steps
        })
    }

    /// Learning rate of the 0-based `step`.
    pub fn learning_rate(&self, step: u64) -> f64 {
        let place = self.place(step);
        let phase = &self.phases[place.phase];
        let factor = match &phase.schedule {
            Some(schedule) => {
                let (step, of) = phase.in_whole(place.step);
                schedule.factor(step, of)
            }
            None => self.schedule.factor(step, self.steps()),
        };
        phase.learning_rate.unwrap_or(self.learning_rate) * phase.lr_scale * factor
    }

    /// Positions that pass through the model in the first `steps` steps.
    pub fn tokens(&self, steps: u64) -> u64 {
        let steps = steps.min(self.steps());
        let rows = self.preference.map_or(1, |objective| objective.rows_per_sample());
        self.total(steps, |phase| phase.context as u64) * (self.batch * rows) as u64
    }
}

fn validate_loss_weights(phase: &Phase) -> Result<(), PlanError> {
    let Some(weights) = phase.loss_weights else { return Ok(()) };
    const RULE: &str = "a number from 0 to 100";
    let sensible = |value: f64| (0.0..=100.0).contains(&value);
    let settings = [
        ("rare", weights.rare, sensible(weights.rare), RULE),
        ("punctuation", weights.punctuation, sensible(weights.punctuation), RULE),
        ("rare_below", weights.rare_below, weights.rare_below > 0.0 && weights.rare_below < 1.0, "above 0 and below 1"),
    ];
    match settings.into_iter().find(|(_, _, valid, _)| !valid) {
        Some((name, value, _, rule)) => Err(PlanError::LossWeight { phase: phase.name.clone(), name, value, rule }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::phase::{LossWeights, Part};
    use crate::training::schedule::ScheduleKind;

    fn phase(name: &str, steps: u64) -> Phase {
        Phase::new(name, steps, 8)
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
            phases,
            ..Plan::default()
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

    /// A ramp in the middle of a phase and of the other phase's context.
    #[test]
    fn a_batch_ramp_counts_samples_tokens_and_micro_batches() {
        let short = Phase::new("short", 6, 4);
        let plan = Plan { batch_ramp: vec![(0, 16), (4, 32), (8, 64)], ..plan(vec![short, phase("b", 6)]) };
        assert_eq!(plan.validate(), Ok(()));
        let accumulation: Vec<u64> = (0..12).map(|step| plan.accumulation_at(step)).collect();
        assert_eq!(accumulation, [2, 2, 2, 2, 4, 4, 2, 2, 4, 4, 4, 4]);
        for steps in 0..=12 {
            let micro: u64 = accumulation[..steps as usize].iter().sum();
            assert_eq!((plan.micro_batches(steps), plan.cursor(steps)), (micro, 2 * micro), "{steps}");
        }
        let per_step = [16, 16, 16, 16, 32, 32, 32, 32, 64, 64, 64, 64];
        assert!((0..=12).all(|steps| plan.tokens(steps as u64) == per_step[..steps].iter().sum::<u64>()));
        assert_eq!((plan.samples_of(0), plan.samples_of(1)), (2 * 16, 2 * 20));
        let rewinds = [Rewind { to: 4, from: 7 }];
        assert_eq!(plan.cursor_with(6, &rewinds), plan.cursor(6) + plan.cursor(7) - plan.cursor(4));
        assert_eq!(plan.cursor(14), plan.cursor(12) + 2 * 2 * 4, "as after the end");
        let refused = |batch_ramp| Plan { batch_ramp, ..plan.clone() }.validate().unwrap_err();
        assert_eq!(refused(vec![(0, 20)]), PlanError::BatchRampTokens { tokens: 20, unit: 8 });
        assert_eq!(refused(vec![(0, 24)]), PlanError::BatchRampTokens { tokens: 24, unit: 16 });
        assert_eq!(refused(vec![(0, 0)]), PlanError::BatchRampTokens { tokens: 0, unit: 8 });
        assert_eq!(refused(vec![(1, 16)]), PlanError::BatchRampStep { number: 1, step: 1 });
        assert_eq!(refused(vec![(0, 16), (5, 32), (5, 64)]), PlanError::BatchRampStep { number: 3, step: 5 });
    }

    #[test]
    fn layers_freeze_at_shares_of_the_run_or_of_the_phase() {
        let mut second = phase("b", 10);
        second.freeze_ramp = vec![(0.0, 3), (0.5, 0)];
        let mut third = phase("c", 2);
        third.freeze_layers = Some(7);
        let plan = Plan { freeze_ramp: vec![(0.0, 0), (0.2, 1), (0.5, 2)], ..plan(vec![phase("a", 8), second, third]) };
        assert_eq!(plan.validate(), Ok(()));
        let found: Vec<usize> = (0..20).map(|step| plan.frozen(step)).collect();
        assert_eq!(found, [0, 0, 0, 0, 1, 1, 1, 1, 3, 3, 3, 3, 3, 0, 0, 0, 0, 0, 7, 7]);
        let late = Plan { freeze_ramp: vec![(0.1, 1)], ..plan };
        assert_eq!(late.validate(), Err(PlanError::Ramp(RampError::Start { name: "freeze_ramp", share: 0.1 })));
    }

    /// A phase of two contexts has one schedule, one freezing and one permanent end.
    #[test]
    fn parts_of_a_phase_are_one_phase() {
        let part = |first, steps, context| {
            let schedule = Some(Schedule { kind: ScheduleKind::Linear, warmup_steps: Some(0), ..Schedule::default() });
            let part = Some(Part { first, of: 10 });
            Phase { schedule, part, freeze_ramp: vec![(0.0, 0), (0.4, 1)], ..Phase::new("b", steps, context) }
        };
        let plan = plan(vec![phase("a", 4), part(0, 3, 4), part(3, 7, 8)]);
        assert_eq!(plan.validate(), Ok(()));
        for step in 0..10 {
            let wanted = 1e-2 * (1.0 - step as f64 / 10.0);
            assert!((plan.learning_rate(4 + step) - wanted).abs() < 1e-12, "{step}");
            assert_eq!(plan.frozen(4 + step), usize::from(step >= 4), "{step}");
        }
        assert_eq!([0, 3, 4, 8, 13].map(|step| plan.phase_end(step)), [4, 4, 14, 14, 14]);
        assert_eq!([4, 7, 14].map(|steps| plan.ends_phase(steps)), [true; 3]);
        assert_eq!([4, 7, 14].map(|steps| plan.ends_whole_phase(steps)), [true, false, true]);
        let orders: Vec<String> = plan.phases.iter().map(Phase::order).collect();
        assert_eq!(orders, ["a", "b", "b/8"]);
        let gap = Plan { phases: vec![part(0, 3, 4), part(4, 6, 8)], ..plan.clone() };
        assert_eq!(gap.validate(), Err(PlanError::DuplicatePhase("b".into())));
    }

    #[test]
    fn loss_weights_and_averages_have_bounds() {
        let weighted = |change: fn(&mut LossWeights)| {
            let mut weights = LossWeights { rare: 2.0, rare_below: 1e-4, punctuation: 0.5 };
            change(&mut weights);
            let mut phase = phase("a", 3);
            phase.loss_weights = Some(weights);
            plan(vec![phase]).validate().map_err(|error| error.to_string())
        };
        assert_eq!(weighted(|_| ()), Ok(()));
        assert_eq!(
            weighted(|weights| weights.rare = -1.0).unwrap_err(),
            "`rare` of `loss_weights` in phase `a` is -1: it must be a number from 0 to 100"
        );
        assert!(weighted(|weights| weights.punctuation = f64::NAN).is_err());
        assert!(weighted(|weights| weights.rare_below = 0.0).is_err());
        let averaged = |decay| Plan { ema: Some(decay), ..plan(vec![phase("a", 3)]) }.validate();
        assert_eq!((averaged(0.999), averaged(1.0)), (Ok(()), Err(PlanError::Ema(1.0))));
        assert!(averaged(f64::NAN).is_err() && averaged(0.0).is_err());
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
