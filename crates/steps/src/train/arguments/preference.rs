//! Arguments of learning from preferences.

use schemars::JsonSchema;
use serde::Deserialize;

use super::number::number_or_nan;
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::failure::{Failure, FailureKind};
use stepwell_train::data::PackingKind;
use stepwell_train::training::preference::{NllOf, PreferenceError, PreferenceLoss, PreferenceObjective};

/// What is learned from the token file of `preferences.tokenize`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PreferenceArguments {
    /// Loss of a pair, as TRL names it. `sigmoid` is DPO. `kto` takes answers with a label.
    pub loss: PreferenceLoss,
    /// Strength of the reference; of `orpo`, weight of the odds ratio.
    #[serde(deserialize_with = "number_or_nan")]
    pub beta: f64,
    /// `sigmoid` and `robust`: share of pairs that are taken to be the wrong way round.
    #[serde(deserialize_with = "number_or_nan")]
    pub label_smoothing: f64,
    /// `orpo`: what the likelihood is raised of, the `answer`, or the `text` with its prompt, as in TRL.
    pub nll: NllOf,
    /// `kto`: weight of desirable answers. Default: 1.
    pub desirable_weight: f64,
    /// `kto`: weight of undesirable answers. Default: 1.
    pub undesirable_weight: f64,
    /// Output of `preferences.reference`. Default: the model that the training starts from is asked at each step.
    pub reference: Option<ArtifactRef>,
}

impl Default for PreferenceArguments {
    fn default() -> Self {
        PreferenceArguments {
            loss: PreferenceLoss::default(),
            beta: 0.1,
            label_smoothing: 0.0,
            nll: NllOf::default(),
            desirable_weight: 1.0,
            undesirable_weight: 1.0,
            reference: None,
        }
    }
}

impl PreferenceArguments {
    /// Rows of answers. Nothing else fits.
    pub fn packing(&self) -> PackingKind {
        if self.loss == PreferenceLoss::Kto { PackingKind::None } else { PackingKind::Pairs }
    }

    /// The objective.
    ///
    /// # Errors
    /// When a setting is out of range or has no effect.
    pub fn objective(&self) -> Result<PreferenceObjective, Failure> {
        let PreferenceArguments { loss, beta, label_smoothing, nll, .. } = *self;
        let weights = [self.desirable_weight, self.undesirable_weight];
        let objective = PreferenceObjective { loss, beta, label_smoothing, nll, weights };
        objective.validate().map_err(|error| {
            let hint = match error {
                PreferenceError::NoEffect(name) => format!("leave `{name}` out"),
                _ => "such as `preference = { loss = \"sigmoid\", beta = 0.1 }`".to_owned(),
            };
            Failure::from_error(FailureKind::Fatal, &error).with_hint(hint)
        })?;
        if self.reference.is_some() && matches!(loss, PreferenceLoss::Orpo | PreferenceLoss::Kto) {
            let why = if loss == PreferenceLoss::Orpo {
                "`orpo` has no reference"
            } else {
                "`kto` asks the reference about other answers at each step"
            };
            return Err(Failure::fatal(format!("{why}, and `preference.reference` is given"))
                .with_hint("leave `reference` out"));
        }
        Ok(objective)
    }
}
