//! Settings of learning from preferences.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Loss of a pair, or of an answer with a label. Names are those of TRL.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PreferenceLoss {
    /// Direct preference optimization (Rafailov et al. 2023); with `label_smoothing`, conservative DPO (Mitchell 2023).
    #[default]
    Sigmoid,
    /// Hinge on the margin (Zhao et al. 2023, SLiC).
    Hinge,
    /// Identity preference optimization (Azar et al. 2023), per token.
    Ipo,
    /// The sigmoid of log-probabilities per token.
    SigmoidNorm,
    /// Robust DPO (Chowdhury et al. 2024), which expects a share of `label_smoothing` of wrong pairs.
    Robust,
    /// Odds ratio preference optimization (Hong et al. 2024): the likelihood of the chosen answer and an odds ratio; no reference.
    Orpo,
    /// Kahneman-Tversky optimization (Ethayarajh et al. 2024), of answers with a label.
    Kto,
}

/// Tokens whose likelihood `orpo` raises.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NllOf {
    /// The chosen answer.
    #[default]
    Answer,
    /// The prompt and the chosen answer, as in TRL.
    Text,
}

impl NllOf {
    fn is_default(&self) -> bool {
        *self == NllOf::default()
    }
}

/// What is learned from preferences.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreferenceObjective {
    pub loss: PreferenceLoss,
    pub beta: f64,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub label_smoothing: f64,
    #[serde(default, skip_serializing_if = "NllOf::is_default")]
    pub nll: NllOf,
    /// Weights of answers that are desirable and of those that are not.
    #[serde(default = "ones", skip_serializing_if = "are_ones")]
    pub weights: [f64; 2],
}

/// Settings with which nothing can be learned.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum PreferenceError {
    #[error("`preference.beta` is {0}; it must be a number above 0")]
    Beta(f64),
    #[error("`preference.label_smoothing` is {0}; it must be at least 0 and less than 0.5")]
    LabelSmoothing(f64),
    #[error("`preference.{name}` is {value}; it must be a number of at least 0")]
    Weight { name: &'static str, value: f64 },
    #[error("`preference.{0}` has no effect with this `loss`")]
    NoEffect(&'static str),
}

fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

fn ones() -> [f64; 2] {
    [1.0, 1.0]
}

fn are_ones(weights: &[f64; 2]) -> bool {
    *weights == ones()
}

impl PreferenceObjective {
    pub fn new(loss: PreferenceLoss, beta: f64) -> Self {
        PreferenceObjective { loss, beta, label_smoothing: 0.0, nll: NllOf::default(), weights: ones() }
    }

    /// True if the loss compares with a reference.
    pub fn has_reference(&self) -> bool {
        self.loss != PreferenceLoss::Orpo
    }

    /// Rows of the model's batch for each sample.
    pub fn rows_per_sample(&self) -> usize {
        if self.loss == PreferenceLoss::Kto { 1 } else { 2 }
    }

    /// # Errors
    /// A [`PreferenceError`] for the first setting that is out of range or has no effect.
    pub fn validate(&self) -> Result<(), PreferenceError> {
        use PreferenceLoss::{Kto, Orpo, Robust, Sigmoid};
        if !(self.beta.is_finite() && self.beta > 0.0) {
            return Err(PreferenceError::Beta(self.beta));
        }
        if !(0.0..0.5).contains(&self.label_smoothing) {
            return Err(PreferenceError::LabelSmoothing(self.label_smoothing));
        }
        let names = ["desirable_weight", "undesirable_weight"];
        let wrong = names.into_iter().zip(self.weights).find(|(_, value)| !(value.is_finite() && *value >= 0.0));
        if let Some((name, value)) = wrong {
            return Err(PreferenceError::Weight { name, value });
        }
        let unused = [
            ("label_smoothing", self.label_smoothing != 0.0 && !matches!(self.loss, Sigmoid | Robust)),
            ("nll", self.nll != NllOf::default() && self.loss != Orpo),
            ("desirable_weight", !are_ones(&self.weights) && self.loss != Kto),
        ];
        match unused.into_iter().find(|(_, is_unused)| *is_unused) {
            Some((name, _)) => Err(PreferenceError::NoEffect(name)),
            None => Ok(()),
        }
    }
}
