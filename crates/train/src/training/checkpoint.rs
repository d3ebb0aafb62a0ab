//! Content of a checkpoint, and its conversion into files and back into a running training. The step publishes the
//! files and chooses among checkpoints.

use std::collections::BTreeMap;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::guard::Guarded;
use super::plan::Plan;
use super::watch::Standing;
use crate::device::tuning::Tuning;
use crate::model::Transformer;
use crate::model::config::ModelConfig;
use crate::model::lora::LoraConfig;
use crate::model::scales::scales;
use crate::model::shared::Shared;
use crate::model::weights::{self, NamedTensor, WeightsError};
use crate::optim::{Absent, Ema, Optimizer, OptimizerConfig, OptimizerError};

/// Version of the checkpoint format; see `specs/checkpoint-format.md`.
pub const FORMAT: u32 = 1;
/// Weights under their Hugging Face names; of a training of adapters, the adapters under PEFT's names.
pub const WEIGHTS_FILE: &str = "weights.safetensors";
/// State that the optimizer keeps per parameter.
pub const OPTIMIZER_FILE: &str = "optimizer.safetensors";
/// Average of the weights, under the names of the weights; absent without one.
pub const EMA_FILE: &str = "ema.safetensors";
/// File of [`TrainState`].
pub const STATE_FILE: &str = "state.json";

/// Everything about a training except its tensors.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainState {
    pub format: u32,
    /// Optimizer steps done.
    pub step: u64,
    /// Samples consumed since the run started: the whole position in the data.
    pub cursor: u64,
    /// Name of the phase of the last step.
    pub phase: String,
    /// Positions that passed through the model so far.
    pub tokens: u64,
    /// Mean cross-entropy of the last step, in nats. JSON carries an f32 without loss.
    pub loss: Option<f32>,
    pub model: ModelConfig,
    pub optimizer: OptimizerConfig,
    /// Seed, phases, schedule and learning rate. A resumed run derives phase and rate from the step number.
    pub plan: Plan,
    /// Name of the backend that computed the checkpoint.
    pub device: String,
    /// Version and target of the program that wrote the checkpoint.
    pub build: String,
    /// GPU kernels that computed the matrix products; absent on the CPU.
    #[serde(default, skip_serializing_if = "Tuning::is_empty")]
    pub tuning: Tuning,
    /// How the training stands on held-out text; absent without validation.
    #[serde(default, skip_serializing_if = "Standing::is_empty")]
    pub standing: Standing,
    /// State of the guard; absent without one.
    #[serde(default, skip_serializing_if = "Guarded::is_empty")]
    pub guarded: Guarded,
    /// Digest of the frozen model that adapters are trained on; absent without adapters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
}

impl TrainState {
    /// Encodes the state as the bytes of [`STATE_FILE`].
    pub fn to_file(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("the state has string keys only")
    }

    /// Parses the bytes of [`STATE_FILE`].
    ///
    /// # Errors
    /// [`CheckpointError::State`] for invalid bytes, [`CheckpointError::Format`] for another version.
    pub fn from_file(bytes: &[u8]) -> Result<Self, CheckpointError> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let Version { format } = serde_json::from_slice(bytes)?;
        if format == FORMAT { Ok(serde_json::from_slice(bytes)?) } else { Err(CheckpointError::Format(format)) }
    }
}

/// A checkpoint whose content cannot be trained on.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("{STATE_FILE} cannot be read")]
    State(#[from] serde_json::Error),
    #[error("it has format {0}, this build reads format {FORMAT}")]
    Format(u32),
    #[error("{WEIGHTS_FILE} does not fit")]
    Weights(#[source] WeightsError),
    #[error("the model below the adapters does not fit")]
    Base(#[source] WeightsError),
    #[error("{OPTIMIZER_FILE} does not fit")]
    OptimizerFile(#[source] WeightsError),
    #[error("{OPTIMIZER_FILE} does not fit")]
    Optimizer(#[from] OptimizerError),
    #[error("{EMA_FILE} does not fit")]
    Ema(#[source] WeightsError),
    #[error("it has no {EMA_FILE}")]
    NoEma,
    #[error("it has adapters, and the model that they belong to is not known")]
    NoBase,
    #[error("its {what} is {found}, this run has {expected}")]
    Foreign { what: &'static str, found: String, expected: String },
}

/// Identifies the build: another version or target may compute other bits.
pub fn build_id() -> String {
    format!("stepwell {} {}-{}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH, std::env::consts::OS)
}

/// A training at the end of a step. Training continues while the snapshot is written: the snapshot shares weights and
/// optimizer state, and an update that comes before the write copies them first.
pub struct Snapshot {
    pub state: TrainState,
    /// What is trained: weights under their Hugging Face names, or adapters under PEFT's.
    pub weights: Vec<NamedTensor<Shared>>,
    /// State that the optimizer keeps per parameter.
    pub moments: Vec<NamedTensor<Shared>>,
    /// Average of the weights, if there is one.
    pub ema: Option<Vec<NamedTensor<Shared>>>,
    /// Set at the end of a phase and of the training: the checkpoint is never deleted.
    pub permanent: bool,
    /// Checkpoints to keep beyond the usual number, so that the guard can go back.
    pub extra: u32,
}

impl Snapshot {
    /// Shares weights and optimizer state on the host; copies them from a GPU. The snapshot is not permanent, and needs
    /// no other checkpoints.
    pub fn take(state: TrainState, model: &Transformer, optimizer: &Optimizer, ema: Option<&Ema>) -> Self {
        let (weights, moments, ema) = (model.trained(), optimizer.shared(), ema.map(Ema::shared));
        Snapshot { state, weights, moments, ema, permanent: false, extra: 0 }
    }
}

/// A training read back from the files of a checkpoint.
pub struct Restored {
    pub state: TrainState,
    pub model: Transformer,
    pub optimizer: Optimizer,
    pub ema: Option<Ema>,
}

/// Bytes of the files of a checkpoint.
#[derive(Clone, Copy)]
pub struct Files<'a> {
    /// [`STATE_FILE`].
    pub state: &'a [u8],
    /// [`WEIGHTS_FILE`].
    pub weights: &'a [u8],
    /// [`OPTIMIZER_FILE`].
    pub optimizer: &'a [u8],
    /// [`EMA_FILE`], if there is one.
    pub ema: Option<&'a [u8]>,
}

/// The frozen model that adapters are trained on.
#[derive(Clone, Copy)]
pub struct Base<'a> {
    /// Digest of the weights, in hexadecimal digits.
    pub digest: &'a str,
    /// Bytes of the weights under their Hugging Face names, as in [`WEIGHTS_FILE`] of a training without adapters.
    pub weights: &'a [u8],
}

/// The run that a checkpoint must belong to.
pub struct Expected<'a> {
    pub model: &'a ModelConfig,
    pub optimizer: OptimizerConfig,
    pub plan: &'a Plan,
    /// Device with automatic differentiation.
    pub device: &'a Device,
    /// Step of the checkpoint of another run that this run continues: of that one, only the model must match. Later
    /// checkpoints are the run's own.
    pub forked_at: Option<u64>,
    /// Model below the adapters, for a plan that trains some.
    pub base: Option<Base<'a>>,
}

/// Rebuilds a training from the (verified) bytes of a checkpoint.
///
/// # Errors
/// [`CheckpointError::Foreign`] for a checkpoint of another model or run; the other variants for a file that cannot
/// be read or does not fit the model.
pub fn restore(files: Files<'_>, expected: &Expected<'_>) -> Result<Restored, CheckpointError> {
    let mut state = TrainState::from_file(files.state)?;
    let is_fork = expected.forked_at == Some(state.step);
    if is_fork {
        state.standing = Standing::forked_at(state.step);
        let point = if expected.plan.guard.is_some() { state.step } else { 0 };
        state.guarded = state.guarded.forked_at(point);
    }
    check(&state, expected)?;
    let model = model(files.weights, expected)?;
    let model = model.with_frozen(expected.plan.frozen(state.step.saturating_sub(1)));
    let moments: BTreeMap<String, NamedTensor> =
        weights::load(files.optimizer).map_err(CheckpointError::OptimizerFile)?;
    let (settings, matrices) = (expected.optimizer.clone(), model.hidden_matrices());
    let absent = if is_fork { Absent::Zero } else { Absent::Refused };
    let steps = state.step.saturating_sub(state.guarded.untaken);
    let optimizer = Optimizer::from_named(settings, matrices, steps, &model, moments, absent)?;
    let optimizer = optimizer.scaled(scales(expected.model));
    let ema = match expected.plan.ema {
        None => None,
        Some(decay) => Some(average(decay, files.ema, &model, absent)?),
    };
    Ok(Restored { state, model, optimizer, ema })
}

/// The model, or the frozen model with its adapters.
fn model(weights: &[u8], expected: &Expected<'_>) -> Result<Transformer, CheckpointError> {
    let trained = weights::load(weights).map_err(CheckpointError::Weights)?;
    let Some(lora) = &expected.plan.lora else {
        return Transformer::from_named(expected.model, &trained, expected.device).map_err(CheckpointError::Weights);
    };
    let base = expected.base.ok_or(CheckpointError::NoBase)?;
    let base = weights::load(base.weights).map_err(CheckpointError::Base)?;
    let base = Transformer::from_named(expected.model, &base, expected.device).map_err(CheckpointError::Base)?;
    base.with_adapters(lora, &trained).map_err(CheckpointError::Weights)
}

/// The average of the weights. A fork of a training without one starts it.
fn average(decay: f64, file: Option<&[u8]>, model: &Transformer, absent: Absent) -> Result<Ema, CheckpointError> {
    let Some(file) = file else {
        return if absent == Absent::Zero { Ok(Ema::new(decay)) } else { Err(CheckpointError::NoEma) };
    };
    let tensors = weights::load(file).map_err(CheckpointError::Ema)?;
    Ema::from_named(decay, model, &tensors).map_err(CheckpointError::Ema)
}

/// Rejects a manifest that was assembled from another run; the step key already guarantees equal arguments. A fork
/// must have the same model, and its checkpoint must not lie past the end of the plan.
fn check(state: &TrainState, expected: &Expected<'_>) -> Result<(), CheckpointError> {
    let plan = expected.plan;
    let is_fork = expected.forked_at == Some(state.step);
    let is_same = if is_fork { state.model.has_weights_of(expected.model) } else { state.model == *expected.model };
    let model = (!is_same).then(|| ("model", format!("{:?}", state.model), format!("{:?}", expected.model)));
    // A fork may scale adapters in another way; their shapes and the model below them are what they are.
    let of_fork = |lora: &Option<LoraConfig>| lora.as_ref().map(|lora| (lora.r, lora.targets.clone()));
    let base = |digest: Option<&str>| digest.unwrap_or("none").to_owned();
    let always = [
        ("adapter", format!("{:?}", of_fork(&state.plan.lora)), format!("{:?}", of_fork(&plan.lora))),
        ("base model", base(state.base.as_deref()), base(expected.base.map(|base| base.digest))),
    ];
    let same_run = [
        ("seed", state.plan.seed.to_string(), plan.seed.to_string()),
        ("number of steps", state.plan.steps().to_string(), plan.steps().to_string()),
        ("number of frozen layers", state.plan.freeze_layers.to_string(), plan.freeze_layers.to_string()),
        ("precision", state.plan.precision.to_string(), plan.precision.to_string()),
        ("z-loss", state.plan.z_loss.to_string(), plan.z_loss.to_string()),
        ("adapter", format!("{:?}", state.plan.lora), format!("{:?}", plan.lora)),
        ("preference", format!("{:?}", state.plan.preference), format!("{:?}", plan.preference)),
        ("average of the weights", format!("{:?}", state.plan.ema), format!("{:?}", plan.ema)),
        ("data cursor", state.cursor.to_string(), plan.cursor_with(state.step, &state.guarded.rewinds).to_string()),
    ];
    let mut pairs = model.into_iter().chain(always).chain(same_run.into_iter().filter(|_| !is_fork));
    match pairs.find(|(_, found, expected)| found != expected) {
        Some((what, found, expected)) => Err(CheckpointError::Foreign { what, found, expected }),
        None if state.step > plan.steps() => Err(CheckpointError::Foreign {
            what: "step",
            found: state.step.to_string(),
            expected: format!("at most {}", plan.steps()),
        }),
        None => Ok(()),
    }
}
