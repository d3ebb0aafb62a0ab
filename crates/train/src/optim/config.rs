//! Settings of the optimizer.

use serde::{Deserialize, Serialize};

/// Settings of AdamW, which updates every parameter or, with `muon`, those that Muon does not.
///
/// Weight decay applies to matrices: every projection and the embedding, which is also the output head and therefore
/// needs its norm held down. Norm weights (vectors) never decay.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct OptimizerConfig {
    /// Decay of AdamW's first moment.
    pub beta1: f64,
    /// Decay of AdamW's second moment.
    pub beta2: f64,
    /// Added to the square root of AdamW's second moment.
    pub epsilon: f64,
    /// Decay per unit of learning rate, for both optimizers.
    pub weight_decay: f64,
    /// Muon for the matrices of blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muon: Option<MuonConfig>,
}

/// Settings of Muon, besides those it shares with AdamW.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct MuonConfig {
    /// Decay of the momentum.
    pub momentum: f64,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        OptimizerConfig { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.1, muon: None }
    }
}

impl Default for MuonConfig {
    fn default() -> Self {
        MuonConfig { momentum: 0.95 }
    }
}
