//! Settings of the optimizer.

use serde::{Deserialize, Serialize};

use super::groups::ParameterGroup;

/// Settings of AdamW, which updates every parameter or, with `muon`, those that Muon does not; with `adafactor`, none.
///
/// Weight decay applies to matrices: every projection and the embedding, which is also the output head and therefore
/// needs its norm held down. Norm weights (vectors) never decay, unless a group says so.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct OptimizerConfig {
    /// Decay of AdamW's first moment.
    pub beta1: f64,
    /// Decay of AdamW's second moment.
    pub beta2: f64,
    /// Added to the square root of AdamW's second moment.
    pub epsilon: f64,
    /// Decay per unit of learning rate, for all optimizers.
    pub weight_decay: f64,
    /// Muon for the matrices of blocks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muon: Option<MuonConfig>,
    /// Adafactor for all parameters, in place of AdamW and Muon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adafactor: Option<AdafactorConfig>,
    /// Other settings for some parameters; the first group with a parameter decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<ParameterGroup>,
}

/// Settings of Muon, besides those it shares with AdamW.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct MuonConfig {
    /// Decay of the momentum.
    pub momentum: f64,
}

/// Settings of Adafactor (Shazeer and Stern 2018), with the names and defaults of `transformers`, except that the
/// learning rate is not relative.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct AdafactorConfig {
    /// Exponent of the step in the decay of the second moment, `1 - step^decay_rate`.
    pub decay_rate: f64,
    /// Limit of the root mean square of an update.
    pub clip_threshold: f64,
    /// Added to the squares of gradients.
    pub epsilon: f64,
    /// Multiplies the learning rate by the root mean square of the parameter, at least `SMALLEST_SCALE`.
    pub scale_parameter: bool,
}

/// Lower bound of a parameter's scale (`eps[1]` in `transformers`).
pub const SMALLEST_SCALE: f64 = 1e-3;

impl Default for OptimizerConfig {
    fn default() -> Self {
        let (muon, adafactor, groups) = (None, None, Vec::new());
        OptimizerConfig { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.1, muon, adafactor, groups }
    }
}

impl Default for MuonConfig {
    fn default() -> Self {
        MuonConfig { momentum: 0.95 }
    }
}

impl Default for AdafactorConfig {
    fn default() -> Self {
        AdafactorConfig { decay_rate: -0.8, clip_threshold: 1.0, epsilon: 1e-30, scale_parameter: false }
    }
}
