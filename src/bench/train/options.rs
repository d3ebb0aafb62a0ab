//! What is to be trained, by whom and for how long.

use std::path::PathBuf;

use super::mode::Mode;
use crate::bench::error::BenchError;
use crate::train::config::ModelConfig;
use crate::train::precision::Precision;

/// Options of `bench train`.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// Name of a model's shape.
    pub preset: String,
    /// Samples in one step; the preset's when absent.
    pub batch: Option<usize>,
    /// Tokens of a sample; the preset's when absent.
    pub context: Option<usize>,
    /// PyTorch's modes; none measures ours alone.
    pub torch: Vec<Mode>,
    /// Every contestant once with each number of threads.
    pub threads: Vec<usize>,
    /// Turns of every contestant.
    pub rounds: usize,
    /// Training steps of one turn.
    pub steps: usize,
    /// Rate after a warm-up of 20 steps. A high one makes training chaotic: differences of rounding then
    /// grow until the losses have nothing to do with each other.
    pub learning_rate: f64,
    /// Lowest blocks that are not trained, and with them the embedding.
    pub freeze_layers: usize,
    /// Weight of the z-loss; 0 for none.
    pub z_loss: f64,
    /// Of our matrix products; one contestant of ours for each.
    pub precisions: Vec<Precision>,
    /// Backend of ours: `flex` means the CPU, anything else CUDA for PyTorch.
    pub device: String,
    /// Interpreter that has PyTorch.
    pub python: PathBuf,
}

impl TrainOptions {
    /// Steps before the clock counts: caches, allocators, compilers.
    pub const WARM_UP: usize = 2;

    /// Optimizer steps of each contestant.
    pub fn total_steps(&self) -> usize {
        Self::WARM_UP + self.rounds.max(1) * self.steps.max(1)
    }

    /// The preset with the context asked for.
    ///
    /// # Errors
    /// When there is no such preset, the shape cannot be built, or nothing is left to train.
    pub fn shape(&self) -> Result<ModelConfig, BenchError> {
        let preset = ModelConfig::preset(&self.preset);
        let mut shape =
            preset.ok_or_else(|| BenchError::Preset { name: self.preset.clone(), known: &ModelConfig::PRESETS })?;
        shape.context = self.context.unwrap_or(shape.context);
        shape.validate()?;
        shape.check_frozen(self.freeze_layers)?;
        Ok(shape)
    }

    /// Samples in one step: two of a deep model, sixteen of others.
    pub fn samples(&self) -> usize {
        let usual = if self.preset.starts_with("deep60") { 2 } else { 16 };
        self.batch.unwrap_or(usual).max(1)
    }
}
