//! Settings of adapters: rank, scale, dropout and the matrices that have one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::config::{Ffn, ModelConfig};

/// A matrix of every block, by the name that PEFT and `transformers` give it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    QProj,
    KProj,
    VProj,
    OProj,
    GateProj,
    UpProj,
    DownProj,
}

impl Target {
    pub const ALL: [Target; 7] = [
        Target::QProj,
        Target::KProj,
        Target::VProj,
        Target::OProj,
        Target::GateProj,
        Target::UpProj,
        Target::DownProj,
    ];

    /// Name within `transformers`, such as `q_proj`.
    pub fn name(self) -> &'static str {
        match self {
            Target::QProj => "q_proj",
            Target::KProj => "k_proj",
            Target::VProj => "v_proj",
            Target::OProj => "o_proj",
            Target::GateProj => "gate_proj",
            Target::UpProj => "up_proj",
            Target::DownProj => "down_proj",
        }
    }

    /// The target with this name.
    pub fn named(name: &str) -> Option<Target> {
        Target::ALL.into_iter().find(|target| target.name() == name)
    }

    /// Name with the module that has it, such as `self_attn.q_proj`.
    pub fn part(self) -> String {
        let module = match self {
            Target::QProj | Target::KProj | Target::VProj | Target::OProj => "self_attn",
            Target::GateProj | Target::UpProj | Target::DownProj => "mlp",
        };
        format!("{module}.{}", self.name())
    }

    /// True if blocks of the model have this matrix.
    pub fn is_in(self, config: &ModelConfig) -> bool {
        self != Target::GateProj || matches!(config.ffn, Ffn::SwiGlu { .. })
    }

    /// `[out, in]` of the matrix.
    pub fn shape(self, config: &ModelConfig) -> [usize; 2] {
        let ModelConfig { d_model, heads, kv_heads, head_dim, ffn, .. } = *config;
        match self {
            Target::QProj => [heads * head_dim, d_model],
            Target::KProj | Target::VProj => [kv_heads * head_dim, d_model],
            Target::OProj => [d_model, heads * head_dim],
            Target::GateProj | Target::UpProj => [ffn.hidden(), d_model],
            Target::DownProj => [d_model, ffn.hidden()],
        }
    }
}

/// Number format of the frozen matrices below the adapters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BaseFormat {
    /// As they are.
    #[default]
    F32,
    /// Rounded to four bits, see [`Nf4`]: what QLoRA computes.
    ///
    /// [`Nf4`]: super::Nf4
    Nf4,
}

impl BaseFormat {
    fn is_default(&self) -> bool {
        *self == BaseFormat::default()
    }
}

/// Adapters of a model: the same matrices of every block, with one rank and scale.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoraConfig {
    /// Rank: rows of A and columns of B.
    pub r: usize,
    /// The product of B and A is multiplied by `alpha / r`, or by `alpha / sqrt(r)` with `rslora`.
    pub alpha: f64,
    /// Probability of dropping an element of an adapter's input during training.
    #[serde(default)]
    pub dropout: f32,
    /// Rank-stabilised scale (Kalajdzievski 2023).
    #[serde(default)]
    pub rslora: bool,
    /// In the order of [`Target::ALL`], none twice.
    pub targets: Vec<Target>,
    /// Format of the matrices of blocks, also of those without an adapter. Omitted when it is f32.
    #[serde(default, skip_serializing_if = "BaseFormat::is_default")]
    pub base: BaseFormat,
}

/// Settings that no adapter can have.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum LoraError {
    #[error("`lora.r` is {r}; it must be from 1 to {most}, the width of the smallest matrix that it adapts")]
    Rank { r: usize, most: usize },
    #[error("`lora.alpha` is {0}; it must be a number above 0")]
    Alpha(f64),
    #[error("`lora.dropout` is {0}; it must be at least 0 and less than 1")]
    Dropout(f32),
    #[error("`lora.targets` names no matrix")]
    NoTarget,
    #[error("`lora.targets` has `{0}`, which blocks of this model do not have")]
    NoSuchMatrix(&'static str),
}

impl LoraConfig {
    /// Factor on the product of B and A.
    pub fn scale(&self) -> f64 {
        let r = self.r as f64;
        self.alpha / if self.rslora { r.sqrt() } else { r }
    }

    /// Checks that the model can have these adapters.
    ///
    /// # Errors
    /// A [`LoraError`] for the first setting that is out of range or does not fit the model.
    pub fn validate(&self, config: &ModelConfig) -> Result<(), LoraError> {
        if !(self.alpha.is_finite() && self.alpha > 0.0) {
            return Err(LoraError::Alpha(self.alpha));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(LoraError::Dropout(self.dropout));
        }
        if let Some(missing) = self.targets.iter().find(|target| !target.is_in(config)) {
            return Err(LoraError::NoSuchMatrix(missing.name()));
        }
        let widths = self.targets.iter().flat_map(|target| target.shape(config));
        let Some(most) = widths.min() else { return Err(LoraError::NoTarget) };
        if self.r == 0 || self.r > most { Err(LoraError::Rank { r: self.r, most }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lora() -> LoraConfig {
        LoraConfig {
            r: 4,
            alpha: 8.0,
            dropout: 0.0,
            rslora: false,
            targets: vec![Target::QProj, Target::DownProj],
            base: BaseFormat::F32,
        }
    }

    #[test]
    fn the_scale_is_alpha_over_r_or_its_root() {
        assert_eq!(lora().scale(), 2.0);
        assert_eq!(LoraConfig { rslora: true, ..lora() }.scale(), 4.0);
    }

    #[test]
    fn impossible_settings_are_named() {
        let model = ModelConfig::preset("tiny").unwrap();
        assert_eq!(lora().validate(&model), Ok(()));
        let refused = |lora: LoraConfig| lora.validate(&model).unwrap_err().to_string();
        assert!(refused(LoraConfig { r: 0, ..lora() }).contains("from 1 to 64"));
        assert!(refused(LoraConfig { r: 65, ..lora() }).contains("`lora.r` is 65"));
        assert!(refused(LoraConfig { alpha: f64::NAN, ..lora() }).contains("`lora.alpha` is NaN"));
        assert!(refused(LoraConfig { dropout: 1.0, ..lora() }).contains("`lora.dropout` is 1"));
        assert!(refused(LoraConfig { targets: Vec::new(), ..lora() }).contains("names no matrix"));
        let ungated = ModelConfig { ffn: Ffn::Gelu { hidden: 8 }, ..model };
        let gate = LoraConfig { targets: vec![Target::GateProj], ..lora() };
        assert_eq!(gate.validate(&ungated), Err(LoraError::NoSuchMatrix("gate_proj")));
    }

    #[test]
    fn every_name_is_found_again() {
        assert!(Target::ALL.into_iter().all(|target| Target::named(target.name()) == Some(target)));
        assert_eq!(Target::named("lm_head"), None);
    }
}
