//! Arguments of `train`, and the training plan made from them.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use schemars::JsonSchema;
use serde::Deserialize;

use super::guard::GuardArguments;
use super::lora::LoraArguments;
use super::model::ModelArgument;
use super::number::number_or_nan;
use super::optimizer::OptimizerArguments;
use super::parts::split;
use super::phase::{LossWeightArguments, PhaseArguments};
use super::preference::PreferenceArguments;
use super::source::SourceArguments;
use super::stop_when::StopWhenArguments;
use super::watch::{ModelOutput, WeightsArgument};
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::failure::Failure;
use stepwell_base::token_file::Unit;
use stepwell_train::data::PackingKind;
use stepwell_train::precision::Precision;
use stepwell_train::training::guard::GuardError;
use stepwell_train::training::phase::Phase;
use stepwell_train::training::plan::{Plan, PlanError};
use stepwell_train::training::schedule::Schedule;

/// Arguments of the `train` step.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// Token files of the training split, read as one stream in this order.
    #[serde(default)]
    pub tokens: Vec<ArtifactRef>,
    /// Sources to mix by weight, in place of `tokens`: `[{ name = "web", tokens = [...], weight = 0.7 }, ...]`.
    #[serde(default)]
    pub data: Vec<SourceArguments>,
    /// Tokenizer that made the token files.
    pub tokenizer: ArtifactRef,
    #[serde(default)]
    pub model: ModelArgument,
    /// Model to continue from, with fresh optimizer state: output `model` of a `train` step, or of `model.import` if models trained
    /// here have its shape. It decides what `model` would say.
    #[serde(default)]
    pub from: Option<ArtifactRef>,
    /// `{}` trains low-rank adapters (LoRA) beside the weights of `from`, which stay as they are. The output `model` has them
    /// added to its weights; the output `adapter` is a folder for PEFT.
    #[serde(default)]
    pub lora: Option<LoraArguments>,
    /// `{}` learns from the pairs of `preferences.tokenize` (DPO), in place of the next token.
    #[serde(default)]
    pub preference: Option<PreferenceArguments>,
    /// How documents are put into rows. Examples of `sft.tokenize` need `none` or `best-fit`, which do not cut them in two.
    #[serde(default)]
    pub packing: PackingKind,
    /// Tokens that the model sees at once. Default: the preset's context.
    #[serde(default)]
    pub context: Option<usize>,
    /// Samples in one micro-batch, which must fit into memory at once.
    #[serde(default = "default_batch")]
    pub batch: usize,
    /// Micro-batches per optimizer step. A step sees `batch * accumulation` samples.
    #[serde(default = "default_accumulation")]
    pub accumulation: usize,
    /// Tokens of an optimizer step from given steps on, in place of `accumulation`, which follows from them:
    /// `[[0, 4096], [1000, 16384]]`. Each is a multiple of `batch` x `context`.
    #[serde(default)]
    pub batch_ramp: Vec<(u64, u64)>,
    /// Contexts from given shares of the steps on: `[[0, 128], [0.3, 256], [0.7, 512]]`. Each has an order of samples of
    /// its own.
    #[serde(default)]
    pub context_ramp: Vec<(f64, usize)>,
    /// Optimizer steps. Default: 1000, or the sum of all `phases`.
    #[serde(default)]
    pub steps: Option<u64>,
    /// Seed of the initial weights, the order of samples and dropout.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// `auto`, `flex` (CPU), `wgpu`, `vulkan`, `metal` or `cuda`.
    #[serde(default = "default_device")]
    pub device: String,
    #[serde(default)]
    pub optimizer: OptimizerArguments,
    /// Number of lowest blocks to freeze. This also freezes the embedding, which lies below them and is the output
    /// head too. Frozen weights keep every bit. Useful in a fork of a trained run.
    #[serde(default)]
    pub freeze_layers: usize,
    /// Numbers of lowest blocks to freeze from given shares of the steps on, in place of one number:
    /// `[[0, 0], [0.2, 20], [0.5, 40]]`.
    #[serde(default)]
    pub freeze_ramp: Vec<(f64, usize)>,
    /// `f32`, or `bf16`, which rounds the operands of matrix products. `bf16` is faster on processors with
    /// instructions for it. Weights, optimizer state, sums, norms, softmax and loss stay f32.
    #[serde(default)]
    pub precision: Precision,
    /// Weight of the z-loss, which keeps logits small: the mean over the tokens of the squared logarithm of
    /// softmax's denominator is added to the cross-entropy. 1e-4 is usual; 0 turns it off. The metric `loss` stays
    /// the cross-entropy.
    #[serde(default, deserialize_with = "number_or_nan")]
    pub z_loss: f64,
    /// Weights of rare tokens and of punctuation in the loss: `{ rare = 2.0 }`.
    #[serde(default)]
    pub loss_weights: Option<LossWeightArguments>,
    /// Decay of an exponential moving average of the weights, such as 0.999. Without: no average.
    #[serde(default)]
    pub ema: Option<f64>,
    /// `trained`, or `ema`: weights that are validated, write texts and become the outputs.
    #[serde(default)]
    pub weights: WeightsArgument,
    /// `{}` guards the training against spikes of the loss and against numbers that are not finite, which otherwise
    /// end it. Without: no guard.
    #[serde(default)]
    pub guard: Option<GuardArguments>,
    /// Learning rate schedule of the run.
    #[serde(default)]
    pub schedule: Schedule,
    /// Optimizer steps between checkpoints: the most work that a crash can cost. By default, time decides: 30 s to
    /// 10 min, so that checkpoints cost less than 1 %.
    #[serde(default)]
    pub checkpoint_every: Option<u64>,
    /// Number of newest checkpoints to keep, in addition to those at the end of phases.
    #[serde(default = "default_keep")]
    pub keep_checkpoints: u32,
    /// Token file of held-out text. The loss on a fixed part of it is measured while training goes, as the metrics
    /// `val_loss` and `val_bits_per_byte`. What is trained does not change by a bit.
    #[serde(default)]
    pub validation: Option<ArtifactRef>,
    /// Optimizer steps between two validations; 0: never. Default: 100. There is also one at the end.
    #[serde(default)]
    pub validation_every: Option<u64>,
    /// Size of the part of `validation` that is used, in tokens. Default: 8192.
    #[serde(default)]
    pub validation_tokens: Option<NonZeroU64>,
    /// Ends the training early: `{ no_improvement = 5 }` after 5 validations that were not better than the best before.
    #[serde(default)]
    pub stop_when: Option<StopWhenArguments>,
    /// `last`, or `best`: the output `model` is the state after the last step, or that with the lowest loss on
    /// `validation`, which is also the output `best`.
    #[serde(default)]
    pub output: ModelOutput,
    /// Optimizer steps between two times at which the model writes texts; 0: never.
    #[serde(default)]
    pub sample_every: u64,
    /// Up to 16 texts that it continues. Default: one empty text, which starts a new document.
    #[serde(default)]
    pub prompts: Option<Vec<String>>,
    /// Maximum length of such a text, in tokens. Default: 48.
    #[serde(default)]
    pub sample_tokens: Option<usize>,
    /// Optimizer steps between two measurements of each layer: norm of its gradient, and ratio of its update to its
    /// weights; 0: never.
    #[serde(default)]
    pub layer_stats_every: u64,
    /// Token files of phases by their name, for phases without `tokens` or `data` of their own.
    #[serde(default)]
    pub phase_tokens: BTreeMap<String, Vec<ArtifactRef>>,
    /// Parts of the run, one after another. Default: one phase, `main`.
    #[serde(default)]
    pub phases: Vec<PhaseArguments>,
    /// `staged`, or `shuffled`: every phase is trained on the texts of all phases, mixed so that each text gives as many
    /// tokens in all as before. A control that shows whether the order of the phases helps.
    #[serde(default)]
    pub curriculum: Curriculum,
}

/// Order of the texts of the phases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Curriculum {
    /// Each phase has its own texts.
    #[default]
    Staged,
    /// Each phase has the texts of all.
    Shuffled,
}

fn default_batch() -> usize {
    8
}

fn default_accumulation() -> usize {
    1
}

fn default_seed() -> u64 {
    42
}

fn default_device() -> String {
    "auto".to_owned()
}

fn default_keep() -> u32 {
    2
}

const DEFAULT_STEPS: u64 = 1000;

impl Arguments {
    /// Makes the plan for a model with a context of `context` tokens.
    ///
    /// # Errors
    /// When a number makes training impossible, or `steps` is not the sum of the phases.
    pub fn plan(&self, context: usize) -> Result<Plan, Failure> {
        self.check_sources()?;
        let loss_weights = self.loss_weights.map(LossWeightArguments::weights);
        let phases: Vec<Phase> = match self.phases.as_slice() {
            [] => vec![Phase { loss_weights, ..Phase::new("main", self.steps.unwrap_or(DEFAULT_STEPS), context) }],
            phases => {
                let resolve = |phase: &PhaseArguments| {
                    let resolved = phase.resolve(context, self.unit())?;
                    Ok(Phase { loss_weights: resolved.loss_weights.or(loss_weights), ..resolved })
                };
                phases.iter().map(resolve).collect::<Result<_, Failure>>()?
            }
        };
        let plan = Plan {
            seed: self.seed,
            batch: self.batch,
            accumulation: self.accumulation,
            learning_rate: self.optimizer.learning_rate,
            schedule: self.schedule.clone(),
            clip: self.optimizer.clip,
            checkpoint_every: self.checkpoint_every,
            freeze_layers: self.freeze_layers,
            precision: self.precision,
            z_loss: self.z_loss,
            guard: self.guard.map(GuardArguments::rule),
            ema: self.ema,
            batch_ramp: self.batch_ramp.clone(),
            freeze_ramp: self.freeze_ramp.clone(),
            lora: None,
            preference: self.preference.as_ref().map(PreferenceArguments::objective).transpose()?,
            phases: split(phases, &self.phases, &self.context_ramp)?,
        };
        self.check_steps(&plan)?;
        self.check_together()?;
        plan.validate().map_err(|error| refuse(&error))?;
        Ok(plan)
    }

    /// These arguments for a sweep of the learning rate over `steps` steps of the first phase, which measures and keeps
    /// nothing.
    pub fn sweeping(self, schedule: Schedule, peak: f64, steps: u64) -> Self {
        let first = |phase: PhaseArguments| PhaseArguments {
            steps: Some(steps),
            token_budget: None,
            lr_scale: 1.0,
            learning_rate: None,
            schedule: None,
            context_ramp: Vec::new(),
            freeze_ramp: Vec::new(),
            stop_when: None,
            ..phase
        };
        Arguments {
            schedule,
            steps: Some(steps),
            phases: self.phases.into_iter().take(1).map(first).collect(),
            optimizer: OptimizerArguments { learning_rate: peak, ..self.optimizer },
            curriculum: Curriculum::Staged,
            batch_ramp: Vec::new(),
            context_ramp: Vec::new(),
            freeze_ramp: Vec::new(),
            guard: None,
            checkpoint_every: None,
            validation: None,
            validation_every: None,
            validation_tokens: None,
            stop_when: None,
            output: ModelOutput::Last,
            sample_every: 0,
            prompts: None,
            sample_tokens: None,
            layer_stats_every: 0,
            ema: None,
            weights: WeightsArgument::Trained,
            ..self
        }
    }

    /// Samples of a step, if all steps have as many.
    fn unit(&self) -> Option<u64> {
        self.batch_ramp.is_empty().then_some((self.batch as u64).saturating_mul(self.accumulation as u64))
    }

    /// Refuses settings of which one has no effect.
    fn check_together(&self) -> Result<(), Failure> {
        self.check_lora()?;
        self.check_preference()?;
        let refused = |message: &str, hint: &str| Err(Failure::fatal(message.to_owned()).with_hint(hint.to_owned()));
        if !self.batch_ramp.is_empty() && self.accumulation != default_accumulation() {
            return refused(
                "`batch_ramp` and `accumulation` both say how many micro-batches a step has",
                "leave `accumulation` out: it follows from the tokens of `batch_ramp`",
            );
        }
        if !self.freeze_ramp.is_empty() && self.freeze_layers != 0 {
            return refused("`freeze_layers` and `freeze_ramp` both say what is frozen", "leave `freeze_layers` out");
        }
        if self.weights == WeightsArgument::Ema && self.ema.is_none() {
            return refused("`weights = \"ema\"` needs `ema`, the decay of the average", "0.999 is a good start");
        }
        Ok(())
    }

    /// Refuses settings that adapters do not have.
    fn check_lora(&self) -> Result<(), Failure> {
        let Some(lora) = &self.lora else { return Ok(()) };
        lora.check()?;
        let freezes = |phase: &PhaseArguments| phase.freeze_layers.is_some() || !phase.freeze_ramp.is_empty();
        let is_frozen = self.freeze_layers != 0 || !self.freeze_ramp.is_empty() || self.phases.iter().any(freezes);
        let others = [
            (
                self.from.is_none(),
                "`lora` needs `from`, the model that adapters are trained on",
                "give `from`, or leave `lora` out",
            ),
            (
                is_frozen,
                "`lora` freezes all weights, and layers are frozen besides",
                "leave `freeze_layers` and `freeze_ramp` out",
            ),
            (self.ema.is_some(), "`ema` averages weights, which `lora` does not train", "leave `ema` out"),
            (
                self.optimizer.is_muon(),
                "Muon is for the matrices of a model, not for those of adapters",
                "leave `optimizer.kind` out: AdamW",
            ),
        ];
        match others.into_iter().find(|(is_so, _, _)| *is_so) {
            Some((_, message, hint)) => Err(Failure::fatal(message.to_owned()).with_hint(hint.to_owned())),
            None => Ok(()),
        }
    }

    /// Refuses settings of the loss of the next token.
    fn check_preference(&self) -> Result<(), Failure> {
        let Some(preference) = &self.preference else { return Ok(()) };
        let weighs = self.loss_weights.is_some() || self.phases.iter().any(|phase| phase.loss_weights.is_some());
        let other_rows = !self.packing.is_default() && self.packing != preference.packing();
        let others = [
            (
                self.from.is_none(),
                "`preference` needs `from`, the model that is compared with",
                "give `from`: a tuned model",
            ),
            (
                self.z_loss != 0.0,
                "`z_loss` is part of the loss of the next token, which `preference` replaces",
                "leave `z_loss` out",
            ),
            (
                weighs,
                "`loss_weights` weigh the next token, which `preference` does not learn",
                "leave `loss_weights` out",
            ),
            (other_rows, "`preference` puts answers into rows of their own", "leave `packing` out"),
        ];
        match others.into_iter().find(|(is_so, _, _)| *is_so) {
            Some((_, message, hint)) => Err(Failure::fatal(message.to_owned()).with_hint(hint.to_owned())),
            None => Ok(()),
        }
    }

    /// What the examples of the token files are made of.
    pub fn examples(&self) -> Unit {
        match self.row_packing() {
            PackingKind::Pairs => Unit::Pair,
            _ if self.preference.is_some() => Unit::Labelled,
            _ => Unit::Document,
        }
    }

    /// How documents are put into rows.
    pub fn row_packing(&self) -> PackingKind {
        self.preference.as_ref().map_or(self.packing, PreferenceArguments::packing)
    }

    fn check_steps(&self, plan: &Plan) -> Result<(), Failure> {
        match self.steps {
            Some(steps) if steps != plan.steps() => {
                let message = format!("`steps` is {steps}, the phases have {} steps", plan.steps());
                Err(Failure::fatal(message).with_hint("leave `steps` out when there are `phases`"))
            }
            _ => Ok(()),
        }
    }
}

fn refuse(error: &PlanError) -> Failure {
    let failure = Failure::from_error(stepwell_base::failure::FailureKind::Fatal, error);
    match error {
        PlanError::Schedule(schedule) | PlanError::Phase { source: schedule, .. } if schedule.is_about_points() => {
            failure.with_hint(
                "such as `points = [[0, 0.0], [100, 1.0], [1000, 0.1]]`: steps rise, factors multiply the peak",
            )
        }
        PlanError::Ramp(_) | PlanError::RampOfPhase { .. } => failure
            .with_hint("such as `[[0, 0], [0.2, 20], [0.5, 40]]`: shares of the steps, then the number from there on"),
        PlanError::BatchRampStep { .. } | PlanError::BatchRampTokens { .. } => {
            failure.with_hint("such as `[[0, 4096], [1000, 16384]]`: a step, then the tokens per step from there on")
        }
        PlanError::Ema(_) => {
            failure.with_hint("0.999 averages about the last 1,000 steps; leave `ema` out for no average")
        }
        PlanError::LossWeight { .. } => {
            failure.with_hint("such as `{ rare = 2.0, rare_below = 1e-4, punctuation = 0.5 }`")
        }
        PlanError::Schedule(_) | PlanError::Phase { .. } => {
            failure.with_hint("a learning rate around 1e-3 and a warm-up of a few per cent are a good start")
        }
        PlanError::Guard(GuardError::NoCheckpoints) => {
            failure.with_hint("set `checkpoint_every`, or `guard.rewinds = 0`")
        }
        PlanError::ZLoss(_) => failure.with_hint("1e-4 is usual; without `z_loss` this loss is off"),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn arguments(change: Value) -> Result<Arguments, serde_json::Error> {
        let file = json!({"digest": "0".repeat(64), "size": 1, "media_type": "x"});
        let mut with = json!({"tokens": [file], "tokenizer": file});
        with.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        serde_json::from_value(with)
    }

    #[test]
    fn defaults_make_a_valid_plan() {
        let plan = arguments(json!({})).unwrap().plan(64).unwrap();
        assert_eq!((plan.steps(), plan.phases[0].name.as_str(), plan.phases[0].context), (1000, "main", 64));
    }

    #[test]
    fn a_learning_rate_that_is_no_number_is_refused() {
        for rate in [json!(null), json!("nan"), json!(0.0), json!(-1.0)] {
            let arguments = arguments(json!({"optimizer": {"learning_rate": rate}})).unwrap();
            let failure = arguments.plan(64).unwrap_err();
            assert!(failure.message.starts_with("the learning rate is "), "{}", failure.message);
            assert!(failure.hint.is_some());
        }
    }

    /// Plans are part of checkpoints: without the setting, or with its default value, the file keeps its old bytes.
    #[test]
    fn f32_is_what_a_plan_without_a_precision_means_and_is_not_written() {
        let plan = |change| arguments(change).unwrap().plan(64).unwrap();
        let written = serde_json::to_value(plan(json!({"precision": "f32"}))).unwrap();
        assert_eq!(written.get("precision"), None);
        assert_eq!(serde_json::from_value::<Plan>(written).unwrap(), plan(json!({})));
        let reduced = plan(json!({"precision": "bf16"}));
        assert_eq!(serde_json::to_value(&reduced).unwrap()["precision"], "bf16");
        let unknown = arguments(json!({"precision": "f16"})).unwrap_err().to_string();
        assert!(unknown.contains("`f16`") && unknown.contains("`bf16`"), "{unknown}");
    }

    #[test]
    fn no_z_loss_is_not_written_and_an_absurd_one_is_refused() {
        let plan = |z_loss: Value| arguments(json!({"z_loss": z_loss})).unwrap().plan(64);
        let written = serde_json::to_value(plan(json!(0.0)).unwrap()).unwrap();
        assert_eq!(written.get("z_loss"), None);
        assert_eq!(serde_json::from_value::<Plan>(written).unwrap(), arguments(json!({})).unwrap().plan(64).unwrap());
        assert_eq!(serde_json::to_value(plan(json!(1e-4)).unwrap()).unwrap()["z_loss"], 1e-4);
        for (z_loss, shown) in [
            (json!(-1e-4), "-0.0001"),
            (json!(null), "NaN"),
            (json!("nan"), "NaN"),
            (json!(1.5), "1.5"),
            (json!(1e-10), "0.0000000001"),
        ] {
            let failure = plan(z_loss).unwrap_err();
            assert_eq!(failure.message, format!("`z_loss` is {shown}: it must be 0 (off) or a number from 1e-9 to 1"));
            assert_eq!(failure.hint.as_deref(), Some("1e-4 is usual; without `z_loss` this loss is off"));
        }
    }

    #[test]
    fn phases_set_the_number_of_steps() {
        let phases = json!([{"name": "a", "steps": 10}, {"name": "b", "steps": 5, "lr_scale": 0.5, "context": 32}]);
        let plan = arguments(json!({"phases": phases})).unwrap().plan(64).unwrap();
        assert_eq!((plan.steps(), plan.phases[0].context, plan.phases[1].context), (15, 64, 32));
        let failure = arguments(json!({"phases": phases, "steps": 100})).unwrap().plan(64).unwrap_err();
        assert!(failure.message.contains("`steps` is 100, the phases have 15"));
    }

    #[test]
    fn unknown_arguments_and_impossible_settings_are_named() {
        assert!(arguments(json!({"batchsize": 3})).unwrap_err().to_string().contains("`batchsize`"));
        let failure = arguments(json!({"batch": 0})).unwrap().plan(64).unwrap_err();
        assert!(failure.message.contains("`batch` must be at least 1"));
        let failure = arguments(json!({"optimizer": {"beta2": 1.0}})).unwrap().optimizer.config().unwrap_err();
        assert!(failure.message.contains("`optimizer.beta2` is 1.0; it must be at least 0 and less than 1"));
        let unknown = arguments(json!({"optimizer": {"kind": "lion"}})).unwrap_err().to_string();
        assert!(unknown.contains("`lion`") && unknown.contains("`muon`"), "{unknown}");
    }
}
