//! What a checkpoint holds, and how it becomes files and a running training again. Publishing the
//! files and choosing among checkpoints is the step's job.

use std::collections::BTreeMap;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::config::ModelConfig;
use super::model::Transformer;
use super::optim::{Absent, Optimizer, OptimizerConfig, OptimizerError};
use super::plan::Plan;
use super::shared::Shared;
use super::tuning::Tuning;
use super::weights::{self, NamedTensor, WeightsError};

/// Version of the checkpoint format; see `specs/checkpoint-format.md`.
pub const FORMAT: u32 = 1;
/// Weights by their Hugging Face names.
pub const WEIGHTS_FILE: &str = "weights.safetensors";
/// What the optimizer keeps of every parameter.
pub const OPTIMIZER_FILE: &str = "optimizer.safetensors";
/// [`TrainState`].
pub const STATE_FILE: &str = "state.json";

/// Everything about a training but its tensors.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainState {
    pub format: u32,
    /// Optimizer steps done.
    pub step: u64,
    /// Samples taken since the run began: the whole position in the data.
    pub cursor: u64,
    /// Name of the phase of the last step.
    pub phase: String,
    /// Positions that passed through the model so far.
    pub tokens: u64,
    /// Mean cross-entropy of the last step, nats. f32, which JSON carries without loss.
    pub loss: Option<f32>,
    pub model: ModelConfig,
    pub optimizer: OptimizerConfig,
    /// Seed, phases, schedule and learning rate: a resumed run derives both from the step number.
    pub plan: Plan,
    /// Name of the backend that computed it.
    pub device: String,
    /// Version and target of the program that wrote it.
    pub build: String,
    /// What that device's products were computed with; absent on the CPU.
    #[serde(default, skip_serializing_if = "Tuning::is_empty")]
    pub tuning: Tuning,
}

impl TrainState {
    /// The bytes of [`STATE_FILE`].
    pub fn to_file(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("the state has string keys only")
    }

    /// # Errors
    /// `State` for invalid bytes, `Format` for another version.
    pub fn from_file(bytes: &[u8]) -> Result<Self, CheckpointError> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let Version { format } = serde_json::from_slice(bytes)?;
        if format == FORMAT { Ok(serde_json::from_slice(bytes)?) } else { Err(CheckpointError::Format(format)) }
    }
}

/// Why a checkpoint's content cannot be trained on.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("{STATE_FILE} cannot be read")]
    State(#[from] serde_json::Error),
    #[error("it has format {0}, this build reads format {FORMAT}")]
    Format(u32),
    #[error("{WEIGHTS_FILE} does not fit")]
    Weights(#[source] WeightsError),
    #[error("{OPTIMIZER_FILE} does not fit")]
    OptimizerFile(#[source] WeightsError),
    #[error("{OPTIMIZER_FILE} does not fit")]
    Optimizer(#[from] OptimizerError),
    #[error("its {what} is {found}, this run has {expected}")]
    Foreign { what: &'static str, found: String, expected: String },
}

/// Identifies builds that may compute other bits.
pub fn build_id() -> String {
    format!("stepwell {} {}-{}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH, std::env::consts::OS)
}

/// A training at the end of a step, which may be written while training goes on. What it shares with the model and the
/// optimizer does not change: an update that comes before it is written copies first.
pub struct Snapshot {
    pub state: TrainState,
    /// By their Hugging Face names.
    pub weights: Vec<NamedTensor<Shared>>,
    /// What the optimizer keeps of every parameter.
    pub moments: Vec<NamedTensor<Shared>>,
    /// The end of a phase: kept for good.
    pub permanent: bool,
}

impl Snapshot {
    /// Shares weights and the optimizer's state, or copies them to the host.
    pub fn take(state: TrainState, model: &Transformer, optimizer: &Optimizer, permanent: bool) -> Self {
        Snapshot { state, weights: model.shared(), moments: optimizer.shared(), permanent }
    }
}

/// A training read back from the files of a checkpoint.
pub struct Restored {
    pub state: TrainState,
    pub model: Transformer,
    pub optimizer: Optimizer,
}

/// What the running step expects a checkpoint to be a part of.
pub struct Expected<'a> {
    pub model: &'a ModelConfig,
    pub optimizer: OptimizerConfig,
    pub plan: &'a Plan,
    /// With automatic differentiation.
    pub device: &'a Device,
    /// Other seeds, lengths and batches are meant: the run goes on from another one's checkpoint.
    pub fork: bool,
}

/// Turns the (verified) bytes of a checkpoint into a training.
///
/// # Errors
/// When a file cannot be read, or belongs to another model or run.
pub fn restore(
    state: &[u8],
    weights_file: &[u8],
    optimizer_file: &[u8],
    expected: &Expected<'_>,
) -> Result<Restored, CheckpointError> {
    let state = TrainState::from_file(state)?;
    check(&state, expected)?;
    let tensors = weights::load(weights_file).map_err(CheckpointError::Weights)?;
    let model = Transformer::from_named(expected.model, &tensors, expected.device).map_err(CheckpointError::Weights)?;
    let model = model.with_frozen(expected.plan.freeze_layers);
    let moments: BTreeMap<String, NamedTensor> =
        weights::load(optimizer_file).map_err(CheckpointError::OptimizerFile)?;
    let (settings, matrices) = (expected.optimizer, model.hidden_matrices());
    let absent = if expected.fork { Absent::Zero } else { Absent::Refused };
    let optimizer = Optimizer::from_named(settings, matrices, state.step, &model, moments, absent)?;
    Ok(Restored { state, model, optimizer })
}

/// The step key already guarantees equal arguments; this catches a manifest that was put together
/// from another run. Of a fork only the model has to be the same, and steps have to be left.
fn check(state: &TrainState, expected: &Expected<'_>) -> Result<(), CheckpointError> {
    let plan = expected.plan;
    let model = ("model", format!("{:?}", state.model), format!("{:?}", expected.model));
    let same_run = [
        ("seed", state.plan.seed.to_string(), plan.seed.to_string()),
        ("number of steps", state.plan.steps().to_string(), plan.steps().to_string()),
        ("number of frozen layers", state.plan.freeze_layers.to_string(), plan.freeze_layers.to_string()),
        ("precision", state.plan.precision.to_string(), plan.precision.to_string()),
        ("z-loss", state.plan.z_loss.to_string(), plan.z_loss.to_string()),
        ("data cursor", state.cursor.to_string(), plan.cursor(state.step).to_string()),
    ];
    let mut pairs = std::iter::once(model).chain(same_run.into_iter().filter(|_| !expected.fork));
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
