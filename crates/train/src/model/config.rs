//! The shape of a decoder-only transformer, its presets and its exact parameter counts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A Llama-shaped decoder: pre-norm RMSNorm, rotary positions, grouped-query attention, a gated or
/// plain feed-forward network, tied embeddings and no biases anywhere. With `qk_norm` it is Qwen3's shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Number of token ids; the rows of the tied embedding.
    pub vocab_size: usize,
    /// Longest sequence in tokens.
    pub context: usize,
    /// Number of transformer blocks.
    pub layers: usize,
    /// Width of the residual stream.
    pub d_model: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of one head; even, because rotary positions rotate pairs.
    pub head_dim: usize,
    /// The feed-forward network of every block.
    pub ffn: Ffn,
    /// RMSNorm of every query and key head before the rotation (Qwen3).
    #[serde(default)]
    pub qk_norm: bool,
    /// Base of the rotary frequencies.
    #[serde(default = "default_rope_theta")]
    pub rope_theta: f32,
    /// Epsilon of every RMSNorm: 1e-5 in Llama, 1e-6 in Qwen3.
    #[serde(default = "default_norm_eps")]
    pub norm_eps: f32,
    /// Probability of dropping an element of the embedding output and of each residual branch during training.
    #[serde(default)]
    pub dropout: f32,
    /// Standard deviation of the initial weights, before `init` changes some.
    #[serde(default = "default_init_std")]
    pub init_std: f32,
    /// Scheme of the initial weights.
    #[serde(default, skip_serializing_if = "Init::is_default")]
    pub init: Init,
    /// Limit of the logits, `cap tanh(logits / cap)`; 0 is none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub logit_softcap: f32,
}

/// Scheme of the initial weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Init {
    /// The matrices that write into the residual stream start smaller by `sqrt(2 * layers)` (Radford et al. 2019).
    #[default]
    Gpt2Depth,
    /// All matrices have the standard deviation `init_std`.
    Plain,
    /// The matrices that write into the residual stream start at 0, so every block starts as the identity.
    ZeroOut,
    /// CompleteP (Dey et al. 2025) relative to a model of this width and depth, see `model::scales`.
    Completep { base_width: usize, base_layers: usize },
}

impl Init {
    /// True for the scheme that files omit: files of such models are the same as before there were others.
    pub fn is_default(&self) -> bool {
        *self == Init::default()
    }
}

/// The feed-forward network: its kind and hidden width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Ffn {
    /// `down(silu(gate(x)) * up(x))` (Shazeer 2020): three matrices.
    SwiGlu { hidden: usize },
    /// `down(gelu(up(x)))` with the exact, erf-based GELU: two matrices.
    Gelu { hidden: usize },
}

impl Ffn {
    /// Width between the two projections.
    pub fn hidden(self) -> usize {
        match self {
            Ffn::SwiGlu { hidden } | Ffn::Gelu { hidden } => hidden,
        }
    }

    /// Rows of the fused input projection, in units of `hidden`.
    pub(crate) fn input_matrices(self) -> usize {
        match self {
            Ffn::SwiGlu { .. } => 2,
            Ffn::Gelu { .. } => 1,
        }
    }
}

/// Exact numbers of trainable scalars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ParameterCounts {
    /// Token embedding, which is also the output head.
    pub embedding: usize,
    /// Query, key, value and output projections of all layers.
    pub attention: usize,
    /// Feed-forward matrices of all layers.
    pub ffn: usize,
    /// All RMSNorm weights, including those of query and key heads.
    pub norms: usize,
    pub total: usize,
}

/// A shape that cannot be built.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ConfigError {
    #[error("`{field}` is 0; it must be at least 1")]
    Zero { field: &'static str },
    #[error("`kv_heads` is {kv_heads}, which does not divide `heads` = {heads}; use a divisor, or {heads} for none")]
    GroupedHeads { heads: usize, kv_heads: usize },
    #[error("`head_dim` is {head_dim}; rotary positions need an even number")]
    OddHead { head_dim: usize },
    #[error("`{field}` is {value:?}; it must be {rule}")]
    Range { field: &'static str, value: f32, rule: &'static str },
    #[error("`{field}` is {value}, more than the supported {limit}")]
    TooLarge { field: &'static str, value: usize, limit: usize },
    #[error(
        "`context` is {context}, beyond the {range} tokens that rotary positions tell apart with `rope_theta` = {theta}; \
         raise `rope_theta` or shorten `context`"
    )]
    BeyondRope { context: usize, theta: f32, range: usize },
    #[error("`freeze_layers` is {frozen}, the model has {layers} layers; at most {} can be frozen", .layers - 1)]
    AllFrozen { frozen: usize, layers: usize },
}

fn is_zero(number: &f32) -> bool {
    *number == 0.0
}

fn default_rope_theta() -> f32 {
    10_000.0
}

fn default_norm_eps() -> f32 {
    1e-5
}

fn default_init_std() -> f32 {
    0.02
}

/// Fields that differ between presets.
struct Shape {
    vocab_size: usize,
    context: usize,
    layers: usize,
    d_model: usize,
    heads: usize,
    ffn: Ffn,
}

impl ModelConfig {
    /// True if the weights of `other` mean the same in this model: only what no weight depends on may differ, which is the
    /// length of the context, the dropout, and the initial weights.
    pub fn has_weights_of(&self, other: &ModelConfig) -> bool {
        let (dropout, init_std, init) = (0.0, 0.0, Init::default());
        let weights = |config: &ModelConfig| ModelConfig { context: 0, dropout, init_std, init, ..config.clone() };
        weights(self) == weights(other)
    }

    /// Names accepted by [`ModelConfig::preset`], smallest first.
    pub const PRESETS: [&'static str; 5] = ["tiny", "quickstart", "small", "deep60", "deep60-ungated"];

    /// Looks up a named shape. `vocab_size` is only a starting value: training takes it from the tokenizer.
    pub fn preset(name: &str) -> Option<ModelConfig> {
        let swiglu = |hidden| Ffn::SwiGlu { hidden };
        let shape = match name {
            "tiny" => Shape { vocab_size: 512, context: 64, layers: 2, d_model: 64, heads: 2, ffn: swiglu(176) },
            "quickstart" => {
                Shape { vocab_size: 2048, context: 256, layers: 4, d_model: 128, heads: 4, ffn: swiglu(352) }
            }
            "small" => Shape { vocab_size: 8192, context: 512, layers: 8, d_model: 384, heads: 6, ffn: swiglu(768) },
            "deep60" => {
                Shape { vocab_size: 32_000, context: 512, layers: 60, d_model: 320, heads: 5, ffn: swiglu(448) }
            }
            "deep60-ungated" => Shape {
                vocab_size: 32_000,
                context: 512,
                layers: 60,
                d_model: 320,
                heads: 5,
                ffn: Ffn::Gelu { hidden: 640 },
            },
            _ => return None,
        };
        Some(shape.into())
    }

    /// Checks that the shape can be built.
    ///
    /// # Errors
    /// A [`ConfigError`] for the first field that is zero, out of range or does not fit another, with the rule it
    /// breaks.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let counts = [
            ("vocab_size", self.vocab_size),
            ("context", self.context),
            ("layers", self.layers),
            ("d_model", self.d_model),
            ("heads", self.heads),
            ("kv_heads", self.kv_heads),
            ("head_dim", self.head_dim),
            ("ffn.hidden", self.ffn.hidden()),
        ];
        // Products of any three of these still fit a usize, so no shape arithmetic overflows.
        const LIMIT: usize = 1 << 20;
        for (field, value) in counts {
            match value {
                0 => return Err(ConfigError::Zero { field }),
                value if value > LIMIT => return Err(ConfigError::TooLarge { field, value, limit: LIMIT }),
                _ => {}
            }
        }
        // All heads together form one dimension of the attention matrices.
        let width = self.heads * self.head_dim;
        if width > LIMIT {
            return Err(ConfigError::TooLarge { field: "heads * head_dim", value: width, limit: LIMIT });
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(ConfigError::GroupedHeads { heads: self.heads, kv_heads: self.kv_heads });
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(ConfigError::OddHead { head_dim: self.head_dim });
        }
        let range = |field, value: f32, holds: bool, rule| match holds {
            true => Ok(()),
            false => Err(ConfigError::Range { field, value, rule }),
        };
        // Subnormal numbers lose precision, and some devices treat them as 0.
        let positive = |x: f32| x.is_normal() && x > 0.0;
        let turns = self.rope_theta.is_finite() && self.rope_theta >= 1.0;
        range("rope_theta", self.rope_theta, turns, "a number of at least 1")?;
        // The slowest pair of a head turns once in less than 2 pi theta positions.
        let turn = (std::f64::consts::TAU * f64::from(self.rope_theta)) as usize;
        if self.context > turn {
            return Err(ConfigError::BeyondRope { context: self.context, theta: self.rope_theta, range: turn });
        }
        range("norm_eps", self.norm_eps, positive(self.norm_eps), "a positive number of at least 1.2e-38")?;
        range("init_std", self.init_std, positive(self.init_std), "a positive number of at least 1.2e-38")?;
        range("dropout", self.dropout, (0.0..1.0).contains(&self.dropout), "at least 0 and less than 1")?;
        let caps = self.logit_softcap == 0.0 || (1.0..=1e4).contains(&self.logit_softcap);
        range("logit_softcap", self.logit_softcap, caps, "0 (off) or a number from 1 to 10000; 15 to 50 is usual")?;
        if let Init::Completep { base_width, base_layers } = self.init {
            for (field, value) in [("base_width", base_width), ("base_layers", base_layers)] {
                match value {
                    0 => return Err(ConfigError::Zero { field }),
                    value if value > LIMIT => return Err(ConfigError::TooLarge { field, value, limit: LIMIT }),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Checks that freezing the lowest `frozen` blocks leaves something to train.
    ///
    /// # Errors
    /// [`ConfigError::AllFrozen`] when no block is left.
    pub fn check_frozen(&self, frozen: usize) -> Result<(), ConfigError> {
        if frozen < self.layers { Ok(()) } else { Err(ConfigError::AllFrozen { frozen, layers: self.layers }) }
    }

    /// Counts the parameters exactly, by part; the tied head counts once.
    pub fn parameter_counts(&self) -> ParameterCounts {
        let query = self.heads * self.head_dim;
        let key = self.kv_heads * self.head_dim;
        let qk_norms = if self.qk_norm { 2 * self.head_dim } else { 0 };
        let embedding = self.vocab_size * self.d_model;
        let attention = self.layers * self.d_model * (2 * query + 2 * key);
        let ffn = self.layers * (self.ffn.input_matrices() + 1) * self.d_model * self.ffn.hidden();
        let norms = self.layers * (2 * self.d_model + qk_norms) + self.d_model;
        ParameterCounts { embedding, attention, ffn, norms, total: embedding + attention + ffn + norms }
    }
}

impl From<Shape> for ModelConfig {
    fn from(shape: Shape) -> Self {
        ModelConfig {
            vocab_size: shape.vocab_size,
            context: shape.context,
            layers: shape.layers,
            d_model: shape.d_model,
            heads: shape.heads,
            kv_heads: shape.heads,
            head_dim: shape.d_model / shape.heads,
            ffn: shape.ffn,
            qk_norm: false,
            rope_theta: default_rope_theta(),
            norm_eps: default_norm_eps(),
            dropout: 0.0,
            init_std: default_init_std(),
            init: Init::default(),
            logit_softcap: 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preset(name: &str) -> ModelConfig {
        ModelConfig::preset(name).expect("a preset of that name")
    }

    #[test]
    fn deep60_has_exactly_the_published_number_of_parameters() {
        assert_eq!(preset("deep60").parameter_counts().total, 60_659_520);
        assert_eq!(preset("deep60-ungated").parameter_counts().total, 59_430_720);
        let with_qk_norm = ModelConfig { qk_norm: true, ..preset("deep60") };
        assert_eq!(with_qk_norm.parameter_counts().total, 60_659_520 + 7_680);
    }

    #[test]
    fn no_count_of_a_valid_model_overflows() {
        let most = 1 << 20;
        let largest = ModelConfig {
            vocab_size: most,
            layers: most,
            d_model: most,
            heads: most / 2,
            kv_heads: most / 2,
            head_dim: 2,
            ffn: Ffn::SwiGlu { hidden: most },
            ..preset("tiny")
        };
        assert_eq!(largest.validate(), Ok(()));
        assert!(largest.parameter_counts().total > 1 << 62);
        let wider = ModelConfig { head_dim: 4, ..largest };
        assert!(wider.validate().unwrap_err().to_string().contains("heads * head_dim"));
    }

    #[test]
    fn counts_by_part_of_a_grouped_model() {
        let config = ModelConfig { kv_heads: 2, ..preset("quickstart") };
        let counts = config.parameter_counts();
        assert_eq!(counts.embedding, 2048 * 128);
        assert_eq!(counts.attention, 4 * (128 * 128 + 2 * 64 * 128 + 128 * 128));
        assert_eq!(counts.ffn, 4 * 3 * 128 * 352);
        assert_eq!(counts.norms, 9 * 128);
    }

    #[test]
    fn every_preset_is_valid_and_round_trips_through_json() {
        for name in ModelConfig::PRESETS {
            let config = preset(name);
            config.validate().expect(name);
            let json = serde_json::to_string(&config).expect("serialises");
            assert_eq!(serde_json::from_str::<ModelConfig>(&json).expect("parses"), config);
        }
        assert_eq!(ModelConfig::preset("huge"), None);
    }

    #[test]
    fn impossible_shapes_name_the_field() {
        let cases = [
            (ModelConfig { layers: 0, ..preset("tiny") }, "`layers` is 0; it must be at least 1"),
            (
                ModelConfig { heads: 4, kv_heads: 3, ..preset("tiny") },
                "`kv_heads` is 3, which does not divide `heads` = 4; use a divisor, or 4 for none",
            ),
            (ModelConfig { head_dim: 33, ..preset("tiny") }, "`head_dim` is 33; rotary positions need an even number"),
            (ModelConfig { dropout: 1.0, ..preset("tiny") }, "`dropout` is 1.0; it must be at least 0 and less than 1"),
            (
                ModelConfig { norm_eps: f32::NAN, ..preset("tiny") },
                "`norm_eps` is NaN; it must be a positive number of at least 1.2e-38",
            ),
            (
                ModelConfig { init_std: f32::from_bits(1), ..preset("tiny") },
                "`init_std` is 1e-45; it must be a positive number of at least 1.2e-38",
            ),
            (
                ModelConfig { rope_theta: 5.0, ..preset("tiny") },
                "`context` is 64, beyond the 31 tokens that rotary positions tell apart with `rope_theta` = 5; \
                 raise `rope_theta` or shorten `context`",
            ),
            (
                ModelConfig { rope_theta: 1e-40, ..preset("tiny") },
                "`rope_theta` is 1e-40; it must be a number of at least 1",
            ),
        ];
        for (config, message) in cases {
            assert_eq!(config.validate().expect_err(message).to_string(), message);
        }
    }
}
