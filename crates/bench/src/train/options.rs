//! Settings of the training benchmark.

use std::path::PathBuf;

use super::mode::Mode;
use crate::error::BenchError;
use stepwell_train::model::config::ModelConfig;
use stepwell_train::precision::Precision;

/// Options of `bench train`.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// Name of a model's shape.
    pub preset: String,
    /// Samples in one step; the preset's when absent.
    pub batch: Option<usize>,
    /// Tokens per sample; the preset's when absent.
    pub context: Option<usize>,
    /// Token file of one long document to train on; drawn tokens when absent.
    pub tokens: Option<PathBuf>,
    /// PyTorch's modes; an empty list measures ours alone.
    pub torch: Vec<Mode>,
    /// Thread counts; every contestant runs once with each.
    pub threads: Vec<usize>,
    /// Number of turns of every contestant.
    pub rounds: usize,
    /// Training steps per turn.
    pub steps: usize,
    /// Learning rate after a warm-up of 20 steps. A high rate makes training chaotic: rounding differences then grow
    /// until the losses have nothing to do with each other.
    pub learning_rate: f64,
    /// Number of lowest blocks that are not trained; the embedding is frozen with them.
    pub freeze_layers: usize,
    /// Weight of the z-loss; 0 for none.
    pub z_loss: f64,
    /// Precisions of our matrix products; each adds one contestant of ours.
    pub precisions: Vec<Precision>,
    /// Our backend: `flex` means the CPU, anything else means CUDA for PyTorch.
    pub device: String,
    /// Python interpreter that has PyTorch.
    pub python: PathBuf,
}

impl TrainOptions {
    /// Steps that are not timed, because they warm up caches, allocators and compilers.
    pub const WARM_UP: usize = 2;

    /// Number of optimizer steps that each contestant takes.
    pub fn total_steps(&self) -> usize {
        Self::WARM_UP + self.rounds.max(1) * self.steps.max(1)
    }

    /// Shape of the preset, with the context from the options.
    ///
    /// # Errors
    /// `Preset` for an unknown preset; `Shape` when the shape cannot be built or nothing is left to train.
    pub fn shape(&self) -> Result<ModelConfig, BenchError> {
        let preset = ModelConfig::preset(&self.preset);
        let mut shape =
            preset.ok_or_else(|| BenchError::Preset { name: self.preset.clone(), known: &ModelConfig::PRESETS })?;
        shape.context = self.context.unwrap_or(shape.context);
        shape.validate()?;
        shape.check_frozen(self.freeze_layers)?;
        Ok(shape)
    }

    /// Samples per step; by default two for a deep model and sixteen for others.
    pub fn samples(&self) -> usize {
        let usual = if self.preset.starts_with("deep60") { 2 } else { 16 };
        self.batch.unwrap_or(usual).max(1)
    }
}
