//! The `model` argument: the name of a preset, or a table of changes to one.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use stepwell_base::failure::Failure;
use stepwell_train::model::config::{Ffn, Init, ModelConfig};

/// Name of a preset (`tiny`, `quickstart`, `small`, `deep60`, `deep60-ungated`), or a table of changes to one.
#[derive(Clone, PartialEq, Debug, Serialize, JsonSchema)]
#[schemars(untagged)]
#[serde(untagged)]
pub enum ModelArgument {
    Preset(#[schemars(with = "PresetName")] String),
    Changes(Box<ModelChanges>),
}

/// Changes to a preset. Fields that are left out keep the preset's value.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ModelChanges {
    /// The preset to change. Default: `quickstart`.
    #[schemars(with = "Option<PresetName>")]
    pub preset: Option<String>,
    /// Rows of the embedding, at least the tokenizer's vocabulary. Default: the tokenizer's vocabulary.
    pub vocab_size: Option<usize>,
    /// Number of transformer blocks.
    pub layers: Option<usize>,
    /// Width of the residual stream.
    pub d_model: Option<usize>,
    /// Query heads.
    pub heads: Option<usize>,
    /// Key and value heads. Default: the preset's, or `heads` if that is set.
    pub kv_heads: Option<usize>,
    /// Width of a head. Default: the preset's, or `d_model / heads` if one of these is set.
    pub head_dim: Option<usize>,
    /// Feed-forward network: `swiglu` or `gelu`.
    pub ffn: Option<FfnKind>,
    /// Hidden width of the feed-forward network.
    pub hidden: Option<usize>,
    /// RMSNorm of query and key heads.
    pub qk_norm: Option<bool>,
    /// Base of the rotary frequencies.
    pub rope_theta: Option<f32>,
    /// Epsilon of every RMSNorm.
    pub norm_eps: Option<f32>,
    /// Dropout probability while training.
    pub dropout: Option<f32>,
    /// Standard deviation of the initial weights.
    pub init_std: Option<f32>,
    /// Scheme of the initial weights: `gpt2_depth` (default), `plain`, `zero_out`, or `completep`, which also scales the
    /// learning rate, epsilon and weight decay of each parameter.
    pub init: Option<InitKind>,
    /// `completep`: width of the model for which the learning rate was found. Default: 256.
    pub base_width: Option<usize>,
    /// `completep`: number of blocks of that model. Default: 2.
    pub base_layers: Option<usize>,
    /// Limit of the logits, `cap tanh(logits / cap)`, such as 30; 0 is none. Such a model has no Hugging Face class.
    pub logit_softcap: Option<f32>,
}

/// Name of a scheme of initial weights.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InitKind {
    Gpt2Depth,
    Plain,
    ZeroOut,
    Completep,
}

/// Base of CompleteP in the paper.
const BASE_WIDTH: usize = 256;
const BASE_LAYERS: usize = 2;

/// Schema of a preset's name: refuses an unknown preset before the run.
struct PresetName;

impl JsonSchema for PresetName {
    fn schema_name() -> Cow<'static, str> {
        "PresetName".into()
    }

    fn json_schema(_generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": ModelConfig::PRESETS })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FfnKind {
    SwiGlu,
    Gelu,
}

/// Written by hand, because a derived untagged enum does not tell which field of the table is wrong.
impl<'de> Deserialize<'de> for ModelArgument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(name) => Ok(ModelArgument::Preset(name)),
            table @ Value::Object(_) => {
                let changes =
                    serde_json::from_value(table).map_err(|error| D::Error::custom(format!("`model`: {error}")))?;
                Ok(ModelArgument::Changes(Box::new(changes)))
            }
            other => Err(D::Error::custom(format!("`model` is {other}; it must be the name of a preset or a table"))),
        }
    }
}

impl Default for ModelArgument {
    fn default() -> Self {
        ModelArgument::Preset("quickstart".to_owned())
    }
}

impl ModelArgument {
    /// Resolves the model's shape, with the preset's context and, unless the table sets another, the tokenizer's
    /// vocabulary.
    ///
    /// # Errors
    /// For an unknown preset, and for a vocabulary that is too small.
    pub fn resolve(&self, tokenizer_vocab: u32) -> Result<ModelConfig, Failure> {
        let changes = match self {
            ModelArgument::Preset(name) => ModelChanges { preset: Some(name.clone()), ..ModelChanges::default() },
            ModelArgument::Changes(changes) => (**changes).clone(),
        };
        let name = changes.preset.as_deref().unwrap_or("quickstart");
        let preset = ModelConfig::preset(name).ok_or_else(|| {
            Failure::fatal(format!("`{name}` is not a model preset"))
                .with_hint(format!("use one of: {}", ModelConfig::PRESETS.join(", ")))
        })?;
        let vocab = tokenizer_vocab as usize;
        changes.check()?;
        let config = changes.apply(preset, vocab);
        if config.vocab_size < vocab {
            let message = format!("`vocab_size` is {}, the tokenizer has {vocab} tokens", config.vocab_size);
            return Err(Failure::fatal(message).with_hint("leave `vocab_size` out of `model`"));
        }
        Ok(config)
    }
}

impl ModelChanges {
    /// Refuses a base that no scheme uses.
    fn check(&self) -> Result<(), Failure> {
        let bases = [("base_width", self.base_width.is_some()), ("base_layers", self.base_layers.is_some())];
        match bases.iter().find(|(_, given)| *given && self.init != Some(InitKind::Completep)) {
            Some((name, _)) => {
                Err(Failure::fatal(format!("`{name}` of `model` is the base of `init = \"completep\"`"))
                    .with_hint("set `init = \"completep\"`, or leave it out"))
            }
            None => Ok(()),
        }
    }

    fn init(&self) -> Init {
        match self.init {
            None | Some(InitKind::Gpt2Depth) => Init::Gpt2Depth,
            Some(InitKind::Plain) => Init::Plain,
            Some(InitKind::ZeroOut) => Init::ZeroOut,
            Some(InitKind::Completep) => Init::Completep {
                base_width: self.base_width.unwrap_or(BASE_WIDTH),
                base_layers: self.base_layers.unwrap_or(BASE_LAYERS),
            },
        }
    }

    fn apply(self, preset: ModelConfig, vocab: usize) -> ModelConfig {
        let init = self.init();
        let heads = self.heads.unwrap_or(preset.heads);
        let d_model = self.d_model.unwrap_or(preset.d_model);
        let kv_heads = self.kv_heads.unwrap_or(if self.heads.is_some() { heads } else { preset.kv_heads });
        let reshaped = self.heads.is_some() || self.d_model.is_some();
        let head_dim = self.head_dim.unwrap_or(if reshaped { d_model / heads.max(1) } else { preset.head_dim });
        let hidden = self.hidden.unwrap_or(preset.ffn.hidden());
        let kind = self.ffn.unwrap_or(match preset.ffn {
            Ffn::SwiGlu { .. } => FfnKind::SwiGlu,
            Ffn::Gelu { .. } => FfnKind::Gelu,
        });
        ModelConfig {
            vocab_size: self.vocab_size.unwrap_or(vocab),
            context: preset.context,
            layers: self.layers.unwrap_or(preset.layers),
            d_model,
            heads,
            kv_heads,
            head_dim,
            ffn: match kind {
                FfnKind::SwiGlu => Ffn::SwiGlu { hidden },
                FfnKind::Gelu => Ffn::Gelu { hidden },
            },
            qk_norm: self.qk_norm.unwrap_or(preset.qk_norm),
            rope_theta: self.rope_theta.unwrap_or(preset.rope_theta),
            norm_eps: self.norm_eps.unwrap_or(preset.norm_eps),
            dropout: self.dropout.unwrap_or(preset.dropout),
            init_std: self.init_std.unwrap_or(preset.init_std),
            init,
            logit_softcap: self.logit_softcap.unwrap_or(preset.logit_softcap),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(value: Value) -> Result<ModelArgument, serde_json::Error> {
        serde_json::from_value(value)
    }

    #[test]
    fn a_preset_takes_the_vocabulary_of_the_tokenizer() {
        let config = parse(json!("tiny")).unwrap().resolve(777).unwrap();
        assert_eq!(config, ModelConfig { vocab_size: 777, ..ModelConfig::preset("tiny").unwrap() });
    }

    #[test]
    fn a_table_changes_a_preset_and_keeps_shapes_consistent() {
        let model = json!({"preset": "tiny", "d_model": 96, "heads": 3, "ffn": "gelu", "hidden": 100, "qk_norm": true});
        let config = parse(model).unwrap().resolve(300).unwrap();
        assert_eq!((config.d_model, config.heads, config.kv_heads, config.head_dim), (96, 3, 3, 32));
        assert_eq!((config.ffn, config.qk_norm), (Ffn::Gelu { hidden: 100 }, true));
    }

    #[test]
    fn mistakes_are_named() {
        let unknown = parse(json!("huge")).unwrap().resolve(300).unwrap_err();
        assert!(unknown.message.contains("`huge`") && unknown.hint.unwrap().contains("deep60"));
        let base = parse(json!({"base_width": 64})).unwrap().resolve(300).unwrap_err();
        assert!(base.message.contains("`base_width`") && base.hint.unwrap().contains("completep"));
        assert!(parse(json!({"layer": 3})).unwrap_err().to_string().contains("unknown field `layer`"));
        assert!(parse(json!(3)).unwrap_err().to_string().contains("name of a preset"));
        let small = parse(json!({"vocab_size": 10})).unwrap().resolve(300).unwrap_err();
        assert!(small.message.contains("`vocab_size` is 10, the tokenizer has 300"));
    }
}
