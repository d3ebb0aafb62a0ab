//! The training loop: takes one optimizer step after another, until the plan is complete or the host asks to stop.

use std::num::NonZeroU64;
use std::time::Instant;

use super::background_job::BackgroundJob;
use super::cadence::Cadence;
use super::checkpoint::{FORMAT, Restored, Snapshot, TrainState, build_id};
use super::guard::{Guarded, Left, Rewind, Verdict};
use super::host::{Finished, TrainError, TrainingHost};
use super::micro_batch::{LossTerms, MicroBatch, MicroResult, StepLoss, StepObjective, TokenWeights, divisor};
use super::plan::Plan;
use super::preference::{self, PreferenceLoss, PreferenceObjective, Reference, StepShare};
use super::watch::{LayerStats, Standing, Validated, Watch, WatchedWeights};
use crate::data::{PackedRow, Sampler};
use crate::device::is_flex;
use crate::device::tuning::{self, Tuning};
use crate::model::config::ModelConfig;
use crate::model::scales::scales;
use crate::model::{Batch, Transformer};
use crate::ops::Objective;
use crate::optim::{Clipping, Ema, GlobalNorm, GradientSum, Optimizer, OptimizerConfig};
use stepwell_base::protocol::MetricRow;
use stepwell_base::rng::derive_seed;

const VAL_LOSS: &str = "val_loss";
const VAL_BITS_PER_BYTE: &str = "val_bits_per_byte";

/// A training between two steps.
pub struct Trainer<'a> {
    plan: &'a Plan,
    /// One sampler per phase.
    samplers: &'a [Sampler],
    device: String,
    settings: OptimizerConfig,
    config: ModelConfig,
    model: Transformer,
    optimizer: Optimizer,
    /// Average of the weights, if the plan has one.
    ema: Option<Ema>,
    /// Steps done.
    step: u64,
    /// One per phase; empty when all tokens weigh the same everywhere.
    token_weights: Vec<TokenWeights>,
    /// Samples of the next step, if they were read while the current one was computed.
    ahead: Option<Vec<PackedRow>>,
    loss: Option<f32>,
    watch: Watch,
    standing: Standing,
    guarded: Guarded,
    /// Step of the newest snapshot.
    saved: u64,
    cadence: Cadence,
    /// Digest of the frozen model below the adapters.
    base: Option<String>,
    /// Reference of preferences, if they have one.
    reference: Option<Reference>,
}

impl<'a> Trainer<'a> {
    /// Starts a training at step 0. `device` is the name of the backend.
    ///
    /// # Panics
    /// Unless there is one sampler per phase.
    pub fn new(
        plan: &'a Plan,
        samplers: &'a [Sampler],
        model: Transformer,
        settings: OptimizerConfig,
        device: &str,
    ) -> Self {
        assert_eq!(plan.phases.len(), samplers.len(), "one sampler per phase");
        let config = model.config().clone();
        let model = model.with_frozen(plan.frozen(0)).with_precision(plan.precision);
        let optimizer = Optimizer::new(settings.clone(), model.hidden_matrices()).scaled(scales(&config));
        let device = device.to_owned();
        let cadence = Cadence::starting_at(Instant::now());
        Trainer {
            plan,
            samplers,
            device,
            settings,
            config,
            model,
            optimizer,
            ema: plan.ema.map(Ema::new),
            step: 0,
            token_weights: Vec::new(),
            ahead: None,
            loss: None,
            watch: Watch::default(),
            standing: Standing::default(),
            guarded: Guarded::default(),
            saved: 0,
            cadence,
            base: None,
            reference: None,
        }
    }

    /// Resumes a training from a checkpoint.
    ///
    /// # Panics
    /// Unless there is one sampler per phase.
    pub fn resumed(
        plan: &'a Plan,
        samplers: &'a [Sampler],
        restored: Restored,
        settings: OptimizerConfig,
        device: &str,
    ) -> Self {
        let Restored { state, model, optimizer, ema } = restored;
        let fresh = Trainer::new(plan, samplers, model, settings, device);
        let TrainState { step, loss, standing, guarded, .. } = state;
        Trainer { optimizer, ema, step, saved: step, loss, standing, guarded, ..fresh }
    }

    /// Sets the weight of each token of the vocabulary in the loss, one table per phase.
    ///
    /// # Panics
    /// Unless there is one table per phase.
    #[must_use]
    pub fn weighing(self, token_weights: Vec<TokenWeights>) -> Self {
        assert_eq!(self.plan.phases.len(), token_weights.len(), "one table per phase");
        Trainer { token_weights, ..self }
    }

    /// Sets what the training measures of itself. It does not change what is trained.
    #[must_use]
    pub fn watching(self, watch: Watch) -> Self {
        Trainer { watch, ..self }
    }

    /// Records the digest of the frozen model that adapters are trained on.
    #[must_use]
    pub fn on_base(self, digest: Option<String>) -> Self {
        Trainer { base: digest, ..self }
    }

    /// Sets the reference of preferences.
    #[must_use]
    pub fn compared_with(self, reference: Option<Reference>) -> Self {
        Trainer { reference, ..self }
    }

    /// The model that is trained.
    pub fn model(&self) -> &Transformer {
        &self.model
    }

    /// Goes on with this state of the guard, after it went back to a checkpoint.
    #[must_use]
    pub fn guarded(self, guarded: Guarded) -> Self {
        Trainer { guarded, ..self }
    }

    /// Trains until the plan is complete or the host asks to stop. No checkpoint write is in progress on return, even
    /// after an error.
    ///
    /// # Errors
    /// [`TrainError::Diverged`] when a loss or gradient norm is NaN or infinite: nothing is saved then, so the last
    /// checkpoint stays good. [`TrainError::NoThread`] when no thread can be started. Any error of the host.
    pub fn run<H: TrainingHost>(self, host: &mut H) -> Result<Finished, H::Error> {
        let ended = self.take_steps(host);
        let settled = host.settle();
        ended.and_then(|finished| settled.map(|()| finished))
    }

    fn take_steps<H: TrainingHost>(mut self, host: &mut H) -> Result<Finished, H::Error> {
        let background =
            BackgroundJob::spawn("micro-batch").map_err(|error| TrainError::NoThread(error.to_string()))?;
        // A process that was told to stop leaves a look to the next one.
        let looked = self.look(host)?;
        if self.leaves_phase(host)? {
            self.save(host)?;
        }
        match looked {
            Looked::Stopped => return Ok(Finished::Stopped),
            // The checkpoint that this process resumed from does not know that it is the best.
            Looked::Done if self.standing.is_best(self.step) => self.save(host)?,
            Looked::Done | Looked::NotDue => {}
        }
        while !self.is_over() {
            self = self.in_phase();
            let started = Instant::now();
            let rows = self.ahead.take().unwrap_or_else(|| self.rows(self.step));
            let waited = started.elapsed();
            host.waited_for_data(waited);
            let Some((gradients, loss)) = self.gradients(&background, &rows, host) else {
                if self.step > self.saved {
                    self.save(host)?;
                }
                return Ok(Finished::Stopped);
            };
            let figures = loss.figures.named();
            let layers = self.watch.layers_are_due(self.step + 1).then(|| LayerStats::start(&gradients, &self.model));
            let (next, verdict, row) = self.update(gradients, loss, started)?;
            self = next;
            if verdict == Verdict::Rewind {
                host.guarded(self.step, verdict, self.guarded.rate)?;
                return Ok(self.rewound());
            }
            // A step whose numbers are not finite has no row.
            if let Some(row) = row {
                host.step_done(MetricRow { data_wait_seconds: Some(waited.as_secs_f64()), ..row })?;
            }
            if !figures.is_empty() {
                host.measured(self.step, figures)?;
            }
            if verdict != Verdict::Normal {
                host.guarded(self.step, verdict, self.guarded.rate)?;
            }
            if let Some(layers) = layers {
                host.measured(self.step, layers.finish(&self.model))?;
            }
            let looked = self.look(host)?;
            self.leaves_phase(host)?;
            if looked == Looked::Stopped || self.checkpoint_is_due(host) {
                self.save(host)?;
            }
            if looked == Looked::Stopped {
                return Ok(Finished::Stopped);
            }
        }
        let model = self.shown();
        let tokens = self.tokens();
        let Trainer { loss, step, standing, .. } = self;
        Ok(Finished::Complete { model: Box::new(model), loss, steps: step, tokens, standing })
    }

    /// Trains the layers that the phase of the next step trains. A layer that is frozen loses its optimizer state.
    fn in_phase(self) -> Self {
        let frozen = self.plan.frozen(self.step);
        if self.model.frozen() == frozen {
            return self;
        }
        let Trainer { model, mut optimizer, .. } = self;
        let model = model.with_frozen(frozen);
        optimizer.forget_frozen(&model);
        Trainer { model, optimizer, ..self }
    }

    /// True when nothing is left to train.
    fn is_over(&self) -> bool {
        self.step >= self.plan.steps() || self.standing.ends(self.watch.stop_when)
    }

    /// Measures what is due with the current weights, unless an earlier process has done so.
    fn look<H: TrainingHost>(&mut self, host: &mut H) -> Result<Looked, H::Error> {
        let step = self.step;
        let Some(look) = self.watch.due(step, self.plan.steps()).filter(|_| self.standing.seen < step) else {
            return Ok(Looked::NotDue);
        };
        let background = BackgroundJob::spawn("look").map_err(|error| TrainError::NoThread(error.to_string()))?;
        // The job drops this copy, for the reason given in `gradients`.
        let model = self.shown();
        background.start(move || look.take(&model));
        let Some(found) = background.result(|| host.stop_requested()) else { return Ok(Looked::Stopped) };
        let (validated, texts) = found.map_err(|why| TrainError::Text { step, why })?;
        self.standing = self.standing.after(step, validated);
        if let Some((end, _)) = self.early_end() {
            self.standing = self.standing.after_in_phase(end, validated);
        }
        if let Some(Validated { loss, bits_per_byte }) = validated {
            let values = [(VAL_LOSS, f64::from(loss)), (VAL_BITS_PER_BYTE, bits_per_byte)];
            host.measured(step, values.map(|(name, value)| (name.to_owned(), value)).into())?;
        }
        if let Some(texts) = texts {
            host.wrote(step, texts)?;
        }
        Ok(Looked::Done)
    }

    /// End of the phase that the last step belongs to, and the rule by which it may end early.
    fn early_end(&self) -> Option<(u64, NonZeroU64)> {
        let last = self.step.checked_sub(1)?;
        let rule = self.plan.phases[self.plan.place(last).phase].no_improvement?;
        Some((self.plan.phase_end(last), rule))
    }

    /// Goes to the end of a phase whose validations no longer improve.
    fn leaves_phase<H: TrainingHost>(&mut self, host: &mut H) -> Result<bool, H::Error> {
        let Some((end, rule)) = self.early_end() else { return Ok(false) };
        if self.step >= end || self.standing.since_best_in_phase(end) < rule.get() {
            return Ok(false);
        }
        host.left_phase(self.step, end)?;
        self.guarded.leave(Left { from: self.step, to: end });
        self.step = end;
        self.ahead = None;
        Ok(true)
    }

    /// Positions that passed through the model.
    fn tokens(&self) -> u64 {
        let left = self.guarded.left.iter().map(|left| self.plan.tokens(left.to) - self.plan.tokens(left.from));
        self.plan.tokens(self.step) - left.sum::<u64>()
    }

    /// A copy of the weights that are looked at.
    fn shown(&self) -> Transformer {
        let average = match self.watch.weights {
            WatchedWeights::Trained => None,
            WatchedWeights::Average => self.ema.as_ref().and_then(|ema| ema.model(&self.model)),
        };
        average.unwrap_or_else(|| self.model.clone())
    }

    /// Computes the summed gradients and the loss of the next step, or returns `None` when the host asks to stop.
    fn gradients<H: TrainingHost>(
        &mut self,
        background: &BackgroundJob<MicroResult>,
        rows: &[PackedRow],
        host: &H,
    ) -> Option<(GradientSum, StepLoss)> {
        let objective = self.objective(rows);
        let mut sum = GradientSum::default();
        let mut losses = StepLoss::default();
        for (micro, rows) in rows.chunks(self.plan.batch).enumerate() {
            if host.stop_requested() {
                return None;
            }
            // The job drops this copy: parameters are updated in place only when they have one owner.
            let (model, job) = (self.model.clone(), self.micro_batch(&objective, rows, micro));
            background.start(move || job.run(&model));
            let next = self.step + 1;
            if self.ahead.is_none() && next < self.plan.steps() {
                self.ahead = Some(self.rows(next));
            }
            let result = background.result(|| host.stop_requested())?;
            sum.add(result.gradients, &self.model);
            losses.add(result.loss, &result.figures);
        }
        Some((sum, losses))
    }

    /// What the next step minimises over all of its rows.
    fn objective(&self, rows: &[PackedRow]) -> StepObjective {
        if let Some(objective) = self.plan.preference {
            let share = StepShare { samples: rows.len() as f64, tokens: self.raised_tokens(objective, rows) };
            let place = self.plan.place(self.step);
            let (sampler, (from, count)) = (&self.samplers[place.phase], self.samples(self.step));
            let examples = sampler.examples(from, count);
            return StepObjective::Preference { objective, share, examples };
        }
        let token_weights = self.token_weights.get(self.plan.place(self.step).phase).cloned().flatten();
        let divisor = divisor(rows, token_weights.as_deref());
        StepObjective::NextToken { objective: Objective { divisor, z_loss: self.plan.z_loss as f32 }, token_weights }
    }

    fn raised_tokens(&self, objective: PreferenceObjective, rows: &[PackedRow]) -> f64 {
        if objective.loss != PreferenceLoss::Orpo {
            return 1.0;
        }
        preference::raised_tokens(&objective, &self.batch(rows, 0)).max(1.0)
    }

    fn micro_batch(&self, objective: &StepObjective, rows: &[PackedRow], micro: usize) -> MicroBatch {
        let batch = self.batch(rows, micro as u64);
        match objective {
            StepObjective::NextToken { objective, token_weights } => {
                MicroBatch::NextToken { batch, objective: *objective, token_weights: token_weights.clone() }
            }
            StepObjective::Preference { objective, share, examples } => {
                let first = micro * self.plan.batch;
                let examples = examples[first..first + rows.len()].to_vec();
                let (reference, eos) = (self.reference.clone(), self.samplers[0].eos());
                MicroBatch::Preference { batch, objective: *objective, share: *share, examples, reference, eos }
            }
        }
    }

    /// Reads all samples of the step that comes after `step` steps.
    fn rows(&self, step: u64) -> Vec<PackedRow> {
        let (from, count) = self.samples(step);
        self.samplers[self.plan.place(step).phase].rows(from, count)
    }

    /// Place of the first sample of the step that comes after `step` steps within its phase, and the number of samples.
    fn samples(&self, step: u64) -> (u64, u64) {
        let place = self.plan.place(step);
        let is_here = |rewind: &&Rewind| self.plan.place(rewind.to).phase == place.phase;
        let in_phase: Vec<Rewind> = self.guarded.rewinds.iter().filter(is_here).copied().collect();
        let from = self.plan.cursor_with(step, &in_phase) - self.plan.cursor(step - place.step);
        (from, self.plan.samples_at(step))
    }

    fn batch(&self, rows: &[PackedRow], micro: u64) -> Batch {
        let index = self.plan.micro_batches(self.step) + micro;
        let dropout_seed = self.model.drops().then(|| derive_seed(self.plan.seed, "dropout", index));
        // Each answer of a pair is a row.
        let answers = self.plan.preference.map_or(1, |objective| objective.rows_per_sample());
        Batch {
            ids: rows.iter().flat_map(|row| row.ids.iter().copied()).collect(),
            targets: rows.iter().flat_map(|row| row.targets.iter().copied()).collect(),
            starts: rows.iter().flat_map(|row| row.starts.iter().copied()).collect(),
            batch: rows.len() * answers,
            seq: rows.first().map_or(0, |row| row.ids.len() / answers),
            dropout_seed,
        }
    }

    /// Applies the gradients, unless the guard refuses them. Consumes the training, so that parameters have one owner
    /// and are updated in place. Without a row, the step had no finite numbers.
    ///
    /// On a GPU without a guard, loss and norm are read only after the update was launched, so that the device never
    /// waits for the host. A step that diverged leaves the weights unchanged there, too.
    fn update(
        mut self,
        mut gradients: GradientSum,
        loss: StepLoss,
        started: Instant,
    ) -> Result<(Self, Verdict, Option<MetricRow>), TrainError> {
        let norm = gradients.norm(&self.model);
        let step = self.step + 1;
        let verdict = self.judge(step, &loss, &norm)?;
        let read = match verdict {
            // The guard takes a step only if its numbers are finite.
            Some(_) => finite(step, loss.value(), norm.value()).ok(),
            None => norm.known().map(|grad_norm| finite(step, loss.value(), grad_norm)).transpose()?,
        };
        let is_taken = match verdict {
            Some(Verdict::Skip | Verdict::Rewind) => false,
            Some(_) => read.is_some(),
            None => true,
        };
        let learning_rate = if is_taken { self.plan.learning_rate(self.step) * self.guarded.rate } else { 0.0 };
        if is_taken {
            let clipping = Clipping { norm: &norm, limit: self.plan.clip };
            self.model = self.optimizer.step(self.model, gradients, learning_rate, clipping);
            if let Some(ema) = &mut self.ema {
                ema.update(&self.model);
            }
        } else {
            self.guarded.untaken += 1;
        }
        let read = match (verdict, read) {
            (None, None) => Some(finite(step, loss.value(), norm.value())?),
            (_, read) => read,
        };
        let tokens = self.plan.tokens(step) - self.plan.tokens(self.step);
        let tokens_so_far = self.tokens() + tokens;
        let tokens_per_second = tokens as f64 / started.elapsed().as_secs_f64().max(1e-9);
        let row = read.map(|(LossTerms { cross_entropy: loss, z_loss }, grad_norm)| MetricRow {
            train_step: step,
            loss,
            z_loss,
            learning_rate,
            grad_norm,
            tokens_so_far,
            tokens_per_second,
            ..MetricRow::default()
        });
        self.step = step;
        self.loss = row.as_ref().map(|row| row.loss as f32).or(self.loss);
        if self.plan.ends_phase(step) {
            self.guarded.phase_ended();
        }
        Ok((self, verdict.unwrap_or(Verdict::Normal), row))
    }

    /// Asks the guard, if there is one. Waits for the device.
    fn judge(&mut self, step: u64, loss: &StepLoss, norm: &GlobalNorm) -> Result<Option<Verdict>, TrainError> {
        let Some(rule) = self.plan.guard else { return Ok(None) };
        let LossTerms { cross_entropy, z_loss } = loss.value();
        match self.guarded.judge(rule, cross_entropy + z_loss.unwrap_or(0.0), norm.value()) {
            Verdict::GiveUp => Err(TrainError::GivenUp { step, rewinds: self.guarded.rewinds.len() }),
            verdict => Ok(Some(verdict)),
        }
    }

    /// Ends this training, to go back to a checkpoint that every training of the plan has.
    fn rewound(self) -> Finished {
        let to = self.guarded.floor(self.plan.fixed_checkpoint(self.step - 1));
        Finished::Rewound { rewind: Rewind { to, from: self.step }, guarded: self.guarded }
    }

    fn checkpoint_is_due<H: TrainingHost>(&self, host: &H) -> bool {
        let by_interval = match self.plan.checkpoint_every {
            Some(steps) => self.step.is_multiple_of(steps),
            None => self.cadence.is_due(host.writing_cost()),
        };
        by_interval || self.standing.is_best(self.step) || self.plan.ends_phase(self.step) || self.is_over()
    }

    /// Waits for the previous checkpoint first, so that only one snapshot is in memory.
    fn save<H: TrainingHost>(&mut self, host: &mut H) -> Result<(), H::Error> {
        let started = Instant::now();
        host.settle()?;
        let at_point = self.plan.fixed_checkpoint(self.step) == self.step;
        let extra = if self.plan.guard.is_some() { self.guarded.saved(at_point) } else { 0 };
        let permanent = self.plan.ends_whole_phase(self.step) || self.is_over();
        let snapshot = Snapshot::take(self.state(), &self.model, &self.optimizer, self.ema.as_ref());
        host.save(Snapshot { permanent, extra, ..snapshot })?;
        // GPU memory pools only grow until a cleanup is requested (burn issues 4792 and 5212).
        self.model.device().memory_cleanup();
        self.saved = self.step;
        self.cadence = Cadence::after_pause(started.elapsed());
        Ok(())
    }

    fn state(&self) -> TrainState {
        let place = self.plan.place(self.step.saturating_sub(1));
        TrainState {
            format: FORMAT,
            step: self.step,
            cursor: self.plan.cursor_with(self.step, &self.guarded.rewinds),
            phase: self.plan.phases[place.phase].name.clone(),
            tokens: self.tokens(),
            loss: self.loss,
            model: self.config.clone(),
            optimizer: self.settings.clone(),
            plan: self.plan.clone(),
            device: self.device.clone(),
            build: build_id(),
            tuning: if is_flex(&self.model.device()) { Tuning::default() } else { tuning::current() },
            standing: if self.watch.looks() { self.standing } else { Standing::default() },
            guarded: self.guarded.clone(),
            base: self.base.clone(),
        }
    }
}

/// How a look at the weights ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Looked {
    NotDue,
    Done,
    /// The host asked to stop first.
    Stopped,
}

/// Rejects a loss or gradient norm that is NaN or infinite.
fn finite(step: u64, loss: LossTerms, norm: f64) -> Result<(LossTerms, f64), TrainError> {
    let check = |what, value: f64| match value.is_finite() {
        true => Ok(value),
        false => Err(TrainError::Diverged { step, what, value }),
    };
    check("loss", loss.cross_entropy)?;
    check("the z-loss", loss.z_loss.unwrap_or(0.0))?;
    Ok((loss, check("the gradient norm", norm)?))
}

#[cfg(test)]
#[cfg(feature = "flex")]
mod tests;
