//! Arguments of adapters that are trained in place of the weights.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use stepwell_base::artifact::ArtifactRef;
use stepwell_base::failure::{Failure, FailureKind};
use stepwell_train::model::config::ModelConfig;
use stepwell_train::model::lora::{BaseFormat, LoraConfig, Target};

/// Low-rank adapters (LoRA) on frozen weights, with the names and meaning of PEFT.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LoraArguments {
    /// Rank of the adapters. Default: 8.
    pub r: Option<usize>,
    /// An adapter counts `alpha / r`. Default: 8.
    pub alpha: Option<f64>,
    /// Probability of dropping an element of an adapter's input while training. Default: 0, or that of `from`.
    pub dropout: Option<f32>,
    /// `all-linear`, which is every matrix of every block, or a list of `q_proj`, `k_proj`, `v_proj`, `o_proj`,
    /// `gate_proj`, `up_proj` and `down_proj`. Default: `all-linear`.
    pub targets: Option<Targets>,
    /// An adapter counts `alpha / sqrt(r)`. Default: false.
    pub rslora: Option<bool>,
    /// `nf4` rounds the frozen matrices of all blocks to four bits, as QLoRA does; they stay f32 in memory. Default: `f32`.
    pub base: BaseFormat,
    /// Adapter to continue, with fresh optimizer state: output `adapter` of `train` or `adapter.import`. It decides rank, scale
    /// and targets.
    pub from: Option<ArtifactRef>,
}

/// Matrices with an adapter.
#[derive(Clone, PartialEq, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum Targets {
    AllLinear(AllLinear),
    Some(Vec<Target>),
}

/// The word for every matrix.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
pub enum AllLinear {
    #[serde(rename = "all-linear")]
    AllLinear,
}

/// Written by hand, because a derived untagged enum does not tell which name is wrong.
impl<'de> Deserialize<'de> for Targets {
    fn deserialize<D: serde::de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let failed = |error| serde::de::Error::custom(format!("`lora.targets`: {error}"));
        match Value::deserialize(deserializer)? {
            word @ Value::String(_) => serde_json::from_value(word).map(Targets::AllLinear).map_err(failed),
            list => serde_json::from_value(list).map(Targets::Some).map_err(failed),
        }
    }
}

impl LoraArguments {
    /// Refuses what `from` decides, without knowing the model or the adapter.
    ///
    /// # Errors
    /// When a setting has no effect.
    pub fn check(&self) -> Result<(), Failure> {
        let decided = [
            ("r", self.r.is_some()),
            ("alpha", self.alpha.is_some()),
            ("targets", self.targets.is_some()),
            ("rslora", self.rslora.is_some()),
        ];
        match decided.into_iter().find(|(_, given)| *given && self.from.is_some()) {
            Some((name, _)) => Err(Failure::fatal(format!("`lora.{name}` and `lora.from` both say what is trained"))
                .with_hint("leave it out: a training continues the adapter as it is")),
            None => Ok(()),
        }
    }

    /// Settings for a model. `from` are those of the adapter that is continued.
    ///
    /// # Errors
    /// When the model cannot have such adapters.
    pub fn resolve(&self, config: &ModelConfig, from: Option<&LoraConfig>) -> Result<LoraConfig, Failure> {
        let mut targets = match &self.targets {
            None | Some(Targets::AllLinear(_)) => {
                Target::ALL.into_iter().filter(|target| target.is_in(config)).collect()
            }
            Some(Targets::Some(targets)) => targets.clone(),
        };
        targets.sort_unstable();
        targets.dedup();
        let fresh = LoraConfig {
            r: self.r.unwrap_or(8),
            alpha: self.alpha.unwrap_or(8.0),
            dropout: 0.0,
            rslora: self.rslora.unwrap_or(false),
            targets,
            base: BaseFormat::F32,
        };
        let lora = from.cloned().unwrap_or(fresh);
        let lora = LoraConfig { dropout: self.dropout.unwrap_or(lora.dropout), base: self.base, ..lora };
        lora.validate(config).map_err(|error| {
            Failure::from_error(FailureKind::Fatal, &error)
                .with_hint("such as `lora = { r = 16, alpha = 32, dropout = 0.05, targets = \"all-linear\" }`")
        })?;
        Ok(lora)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(value: Value) -> Result<LoraArguments, serde_json::Error> {
        serde_json::from_value(value)
    }

    #[test]
    fn all_linear_is_every_matrix_of_a_block_and_not_the_output_head() {
        let model = ModelConfig::preset("tiny").unwrap();
        let resolved = |value| parse(value).unwrap().resolve(&model, None).unwrap();
        assert_eq!(resolved(json!({})).targets, Target::ALL);
        assert_eq!(resolved(json!({ "targets": "all-linear" })), resolved(json!({})));
        let two = resolved(json!({ "targets": ["v_proj", "q_proj", "v_proj"], "r": 4, "alpha": 2 }));
        assert_eq!((two.scale(), two.targets), (0.5, vec![Target::QProj, Target::VProj]));
        let unknown = parse(json!({ "targets": ["lm_head"] })).unwrap_err().to_string();
        assert!(unknown.contains("`lora.targets`") && unknown.contains("q_proj"), "{unknown}");
        let failure = parse(json!({ "r": 0 })).unwrap().resolve(&model, None).unwrap_err();
        assert!(failure.message.contains("`lora.r` is 0") && failure.hint.is_some());
    }

    #[test]
    fn an_adapter_that_is_continued_decides_but_for_its_dropout() {
        let model = ModelConfig::preset("tiny").unwrap();
        let file = json!({ "digest": "0".repeat(64), "size": 1, "media_type": "x" });
        let arguments = parse(json!({ "from": file, "dropout": 0.25 })).unwrap();
        let from = LoraConfig {
            r: 3,
            alpha: 9.0,
            dropout: 0.5,
            rslora: true,
            targets: vec![Target::OProj],
            base: BaseFormat::F32,
        };
        let resolved = arguments.resolve(&model, Some(&from)).unwrap();
        assert_eq!(resolved, LoraConfig { dropout: 0.25, ..from });
        assert!(arguments.check().is_ok());
        let both = parse(json!({ "from": file, "r": 4 })).unwrap().check().unwrap_err();
        assert!(both.message.contains("`lora.r` and `lora.from`"));
    }
}
