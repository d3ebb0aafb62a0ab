//! Arguments of the parts of a training.

use schemars::JsonSchema;
use serde::Deserialize;

use super::source::SourceArguments;
use super::stop_when::StopWhenArguments;
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::failure::Failure;
use stepwell_train::training::phase::{LossWeights, Phase};
use stepwell_train::training::schedule::Schedule;

/// One part of a training run.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PhaseArguments {
    /// Name of the phase. The checkpoint at its end is kept.
    pub name: String,
    /// Optimizer steps of this phase.
    #[serde(default)]
    pub steps: Option<u64>,
    /// Tokens that this phase trains on, in place of `steps`.
    #[serde(default)]
    pub token_budget: Option<u64>,
    /// Multiplies the learning rate in this phase.
    #[serde(default = "one")]
    pub lr_scale: f64,
    /// Peak learning rate of this phase.
    #[serde(default)]
    pub learning_rate: Option<f64>,
    /// Schedule over the steps of this phase, in place of the run's.
    #[serde(default)]
    pub schedule: Option<Schedule>,
    /// Token files of this phase, in place of the run's.
    #[serde(default)]
    pub tokens: Option<Vec<ArtifactRef>>,
    /// Sources of this phase, in place of the run's.
    #[serde(default)]
    pub data: Option<Vec<SourceArguments>>,
    /// Shorter context of this phase.
    #[serde(default)]
    pub context: Option<usize>,
    /// Contexts from given shares of this phase on, in place of the run's: `[[0, 128], [0.3, 256], [0.7, 512]]`.
    #[serde(default)]
    pub context_ramp: Vec<(f64, usize)>,
    /// Number of lowest blocks that this phase does not train, in place of the run's. Blocks that a later phase
    /// trains again start with a new optimizer state.
    #[serde(default)]
    pub freeze_layers: Option<usize>,
    /// Numbers of such blocks from given shares of this phase on, in place of the run's: `[[0, 0], [0.5, 20]]`.
    #[serde(default)]
    pub freeze_ramp: Vec<(f64, usize)>,
    /// Ends this phase early: `{ no_improvement = 5 }` after 5 validations that were not better than its best before.
    #[serde(default)]
    pub stop_when: Option<StopWhenArguments>,
    /// Weights of rare tokens and of punctuation in the loss, in place of the run's.
    #[serde(default)]
    pub loss_weights: Option<LossWeightArguments>,
}

/// Weights of tokens in the loss, which becomes the weighted mean.
#[derive(Clone, Copy, PartialEq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LossWeightArguments {
    /// Weight of rare tokens. Default: 1.
    pub rare: f64,
    /// A token is rare if it is a smaller share of the phase's tokens. Default: 1e-4.
    pub rare_below: f64,
    /// Weight of tokens that are punctuation and nothing else. Default: 1.
    pub punctuation: f64,
}

impl Default for LossWeightArguments {
    fn default() -> Self {
        LossWeightArguments { rare: 1.0, rare_below: 1e-4, punctuation: 1.0 }
    }
}

impl LossWeightArguments {
    pub fn weights(self) -> LossWeights {
        let LossWeightArguments { rare, rare_below, punctuation } = self;
        LossWeights { rare, rare_below, punctuation }
    }
}

fn one() -> f64 {
    1.0
}

impl PhaseArguments {
    /// The phase for a model with this context, before its context changes. `samples` are those of a step, if all steps
    /// have as many.
    ///
    /// # Errors
    /// When two arguments contradict each other, or the number of steps is not given.
    pub fn resolve(&self, context: usize, samples: Option<u64>) -> Result<Phase, Failure> {
        let refused = |what: &str, hint: &str| {
            Err(Failure::fatal(format!("phase `{}` {what}", self.name)).with_hint(hint.to_owned()))
        };
        if self.context.is_some() && !self.context_ramp.is_empty() {
            return refused("has both `context` and `context_ramp`", "leave `context` out");
        }
        if self.freeze_layers.is_some() && !self.freeze_ramp.is_empty() {
            return refused("has both `freeze_layers` and `freeze_ramp`", "leave `freeze_layers` out");
        }
        let context = self.context.unwrap_or(context);
        let steps = match (self.steps, self.token_budget) {
            (Some(steps), None) => steps,
            (None, Some(tokens)) => {
                let Some(samples) = samples.filter(|_| self.context_ramp.is_empty()) else {
                    return refused(
                        "has a `token_budget`, and its steps have different numbers of tokens",
                        "with a ramp of the batch or of its own context, a phase needs `steps`",
                    );
                };
                tokens.div_ceil(samples.saturating_mul(context as u64).max(1))
            }
            (Some(_), Some(_)) => return refused("has both `steps` and `token_budget`", "leave one out"),
            (None, None) => {
                return refused("has neither `steps` nor `token_budget`", "`steps` is the number of optimizer steps");
            }
        };
        Ok(Phase {
            lr_scale: self.lr_scale,
            learning_rate: self.learning_rate,
            schedule: self.schedule.clone(),
            freeze_layers: self.freeze_layers,
            freeze_ramp: self.freeze_ramp.clone(),
            no_improvement: self.stop_when.map(|rule| rule.no_improvement),
            loss_weights: self.loss_weights.map(LossWeightArguments::weights),
            ..Phase::new(&self.name, steps, context)
        })
    }
}
