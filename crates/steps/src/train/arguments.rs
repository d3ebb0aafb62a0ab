//! Arguments of `train`, and the training plan made from them.

use std::num::NonZeroU64;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::guard_arguments::GuardArguments;
use super::model_argument::ModelArgument;
use super::watch_arguments::{ModelOutput, StopWhenArguments};
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::failure::Failure;
use stepwell_train::optim::{MuonConfig, OptimizerConfig};
use stepwell_train::precision::{Precision, is_positive_f32};
use stepwell_train::training::guard::GuardError;
use stepwell_train::training::plan::{Phase, Plan, PlanError};
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
    /// Tokens that the model sees at once. Default: the preset's context.
    #[serde(default)]
    pub context: Option<usize>,
    /// Samples in one micro-batch, which must fit into memory at once.
    #[serde(default = "default_batch")]
    pub batch: usize,
    /// Micro-batches per optimizer step. A step sees `batch * accumulation` samples.
    #[serde(default = "default_accumulation")]
    pub accumulation: usize,
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
    /// `f32`, or `bf16`, which rounds the operands of matrix products. `bf16` is faster on processors with
    /// instructions for it. Weights, optimizer state, sums, norms, softmax and loss stay f32.
    #[serde(default)]
    pub precision: Precision,
    /// Weight of the z-loss, which keeps logits small: the mean over the tokens of the squared logarithm of
    /// softmax's denominator is added to the cross-entropy. 1e-4 is usual; 0 turns it off. The metric `loss` stays
    /// the cross-entropy.
    #[serde(default, deserialize_with = "number_or_nan")]
    pub z_loss: f64,
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
    /// Parts of the run, one after another. Default: one phase, `main`.
    #[serde(default)]
    pub phases: Vec<PhaseArguments>,
}

/// Rule that turns gradients into new weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// AdamW for all weights.
    AdamW,
    /// Muon for the matrices of blocks, AdamW for the embedding and norm weights.
    Muon,
}

/// AdamW or Muon, with decoupled weight decay.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerArguments {
    /// `adamw`, or `muon`, which takes fewer steps to the same loss but more time per step. Its updates are as
    /// large as AdamW's, so no other setting needs to change.
    pub kind: OptimizerKind,
    /// Peak learning rate.
    #[serde(deserialize_with = "number_or_nan")]
    pub learning_rate: f64,
    /// Decay of matrices (embedding included) per unit of learning rate; norm weights never decay.
    pub weight_decay: f64,
    /// Decay of Muon's momentum. Default: 0.95.
    pub momentum: Option<f64>,
    /// Decay of AdamW's first moment.
    pub beta1: f64,
    /// Decay of AdamW's second moment.
    pub beta2: f64,
    /// Added to the square root of AdamW's second moment.
    pub epsilon: f64,
    /// Limit of the global gradient norm; 0 means no limit.
    pub clip: f64,
}

/// One part of a training run.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PhaseArguments {
    /// Name of the phase. The checkpoint at its end is kept.
    pub name: String,
    /// Optimizer steps of this phase.
    pub steps: u64,
    /// Multiplies the learning rate in this phase.
    #[serde(default = "one")]
    pub lr_scale: f64,
    /// Peak learning rate of this phase.
    #[serde(default)]
    pub learning_rate: Option<f64>,
    /// Schedule over the steps of this phase, in place of the run's.
    #[serde(default)]
    pub schedule: Option<Schedule>,
    /// Token files of this phase, in place of the run's.
    #[serde(default)]
    pub tokens: Option<Vec<ArtifactRef>>,
    /// Sources of this phase, in place of the run's.
    #[serde(default)]
    pub data: Option<Vec<SourceArguments>>,
    /// Shorter context of this phase.
    #[serde(default)]
    pub context: Option<usize>,
    /// Number of lowest blocks that this phase does not train, in place of the run's. Blocks that a later phase
    /// trains again start with a new optimizer state.
    #[serde(default)]
    pub freeze_layers: Option<usize>,
}

/// One source of a mixture.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceArguments {
    /// Name for messages and results. Default: its number.
    #[serde(default)]
    pub name: Option<String>,
    /// Token files, read as one stream in this order.
    pub tokens: Vec<ArtifactRef>,
    /// Share of the samples, relative to the weights of the other sources.
    #[serde(deserialize_with = "number_or_nan")]
    pub weight: f64,
    /// Refuse a training that would see this source more often in one phase.
    #[serde(default)]
    pub max_epochs: Option<f64>,
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

fn one() -> f64 {
    1.0
}

const DEFAULT_STEPS: u64 = 1000;

impl Default for OptimizerArguments {
    fn default() -> Self {
        let OptimizerConfig { beta1, beta2, epsilon, weight_decay, .. } = OptimizerConfig::default();
        let (kind, momentum) = (OptimizerKind::AdamW, None);
        OptimizerArguments { kind, learning_rate: 2e-3, weight_decay, momentum, beta1, beta2, epsilon, clip: 1.0 }
    }
}

/// JSON has no NaN: TOML's `nan` arrives as null. Reading it as NaN lets the checks refuse the value that the user
/// wrote.
fn number_or_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(f64::NAN),
        Value::String(text) if text.eq_ignore_ascii_case("nan") => Ok(f64::NAN),
        number => f64::deserialize(number).map_err(serde::de::Error::custom),
    }
}

impl OptimizerArguments {
    /// Checks the settings.
    ///
    /// # Errors
    /// Lists every setting outside the range in which the optimizer works.
    pub fn config(&self) -> Result<OptimizerConfig, Failure> {
        let OptimizerArguments { kind, weight_decay, momentum, beta1, beta2, epsilon, .. } = *self;
        let default = MuonConfig::default().momentum;
        let muon = (kind == OptimizerKind::Muon).then(|| MuonConfig { momentum: momentum.unwrap_or(default) });
        let share = |value: f64| (0.0..1.0).contains(&value);
        let settings = [
            ("weight_decay", weight_decay, (weight_decay as f32).is_finite() && weight_decay >= 0.0, "0 or more"),
            ("momentum", momentum.unwrap_or(default), share(momentum.unwrap_or(default)), "at least 0 and less than 1"),
            ("beta1", beta1, share(beta1), "at least 0 and less than 1"),
            ("beta2", beta2, share(beta2), "at least 0 and less than 1"),
            ("epsilon", epsilon, is_positive_f32(epsilon), "from 1.2e-38 to 3.4e38"),
        ];
        let wrong = settings.iter().filter(|(_, _, valid, _)| !valid);
        let mut problems: Vec<String> =
            wrong.map(|(name, value, _, rule)| format!("`optimizer.{name}` is {value:?}; it must be {rule}")).collect();
        if momentum.is_some() && muon.is_none() {
            problems.push("`optimizer.momentum` is Muon's, `optimizer.kind` is adamw".to_owned());
        }
        if problems.is_empty() {
            return Ok(OptimizerConfig { beta1, beta2, epsilon, weight_decay, muon });
        }
        Err(Failure::fatal(problems.join("; ")).with_hint("what is left out of `optimizer` has a good value"))
    }
}

impl Arguments {
    /// Makes the plan for a model with a context of `context` tokens.
    ///
    /// # Errors
    /// When a number makes training impossible, or `steps` is not the sum of the phases.
    pub fn plan(&self, context: usize) -> Result<Plan, Failure> {
        self.check_sources()?;
        let phases: Vec<Phase> = match self.phases.as_slice() {
            [] => vec![Phase {
                name: "main".to_owned(),
                steps: self.steps.unwrap_or(DEFAULT_STEPS),
                lr_scale: 1.0,
                learning_rate: None,
                schedule: None,
                context,
                freeze_layers: None,
            }],
            phases => phases.iter().map(|phase| phase.resolve(context)).collect(),
        };
        let plan = Plan {
            seed: self.seed,
            batch: self.batch,
            accumulation: self.accumulation,
            learning_rate: self.optimizer.learning_rate,
            schedule: self.schedule,
            clip: self.optimizer.clip,
            checkpoint_every: self.checkpoint_every,
            freeze_layers: self.freeze_layers,
            precision: self.precision,
            z_loss: self.z_loss,
            guard: self.guard.map(GuardArguments::rule),
            phases,
        };
        self.check_steps(&plan)?;
        plan.validate().map_err(|error| refuse(&error))?;
        Ok(plan)
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

impl PhaseArguments {
    fn resolve(&self, context: usize) -> Phase {
        Phase {
            name: self.name.clone(),
            steps: self.steps,
            lr_scale: self.lr_scale,
            learning_rate: self.learning_rate,
            schedule: self.schedule,
            context: self.context.unwrap_or(context),
            freeze_layers: self.freeze_layers,
        }
    }
}

fn refuse(error: &PlanError) -> Failure {
    let failure = Failure::from_error(stepwell_base::failure::FailureKind::Fatal, error);
    match error {
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
    use serde_json::json;

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

    /// With an epsilon of 0 in f32, weights that never had a gradient become NaN.
    #[test]
    fn both_ends_of_every_number_of_the_optimizer_are_checked() {
        let config = |name: &str, value: f64| {
            let with = arguments(json!({"optimizer": {"kind": "muon", name: value}})).unwrap();
            with.optimizer.config().map_err(|failure| failure.message)
        };
        for (name, value) in
            [("epsilon", 5e-324), ("epsilon", 1e-50), ("epsilon", 1e39), ("beta1", 1.0), ("beta1", -5e-324)]
        {
            let message = config(name, value).unwrap_err();
            assert!(message.starts_with(&format!("`optimizer.{name}` is {value:?}; it must be ")), "{message}");
        }
        assert!(config("weight_decay", 1e39).is_err() && config("momentum", 1.0).is_err());
        for (name, value) in [("epsilon", 1.2e-38), ("beta1", 5e-324), ("weight_decay", 5e-324), ("momentum", 0.0)] {
            assert!(config(name, value).is_ok(), "{name} {value}");
        }
    }

    #[test]
    fn muon_has_a_setting_of_its_own_and_all_problems_are_listed() {
        let config = |change| arguments(json!({"optimizer": change})).unwrap().optimizer.config();
        assert_eq!(config(json!({"kind": "muon"})).unwrap().muon, Some(MuonConfig { momentum: 0.95 }));
        assert_eq!(config(json!({"kind": "muon", "momentum": 0.9})).unwrap().muon, Some(MuonConfig { momentum: 0.9 }));
        assert_eq!(config(json!({})).unwrap().muon, None);
        let message = config(json!({"momentum": 2.0, "epsilon": 0.0})).unwrap_err().message;
        for part in ["`optimizer.momentum` is 2.0", "`optimizer.epsilon` is 0.0", "`optimizer.momentum` is Muon's"] {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
    }
}
