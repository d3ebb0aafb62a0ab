//! One phase of a plan.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use super::ramp::LayerRamp;
use super::schedule::Schedule;
use crate::precision::is_one;

/// A named part of the run, optionally with its own data, rate and context.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Phase {
    pub name: String,
    pub steps: u64,
    /// Factor on the learning rate of this phase.
    pub lr_scale: f64,
    /// Peak learning rate of this phase; the run's when absent.
    pub learning_rate: Option<f64>,
    /// Schedule over the steps of this phase alone; the run's schedule when absent.
    pub schedule: Option<Schedule>,
    /// Tokens per sample.
    pub context: usize,
    /// Number of lowest blocks that this phase does not train; the run's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freeze_layers: Option<usize>,
    /// Numbers of such blocks over the steps of this phase, in place of one number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freeze_ramp: LayerRamp,
    /// Weights of some tokens in the loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_weights: Option<LossWeights>,
    /// Ends the phase early after this many validations in a row that were not better than its best before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_improvement: Option<NonZeroU64>,
    /// Place in a phase whose context changes: each context is a phase of the plan, with the name of the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
}

/// The steps of a part in its whole phase.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Part {
    /// Steps of the whole phase before this part.
    pub first: u64,
    /// Steps of the whole phase.
    pub of: u64,
}

/// Weights of tokens in the loss, which is the weighted mean. A token with two properties has the product.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct LossWeights {
    /// Weight of tokens that are rarer than `rare_below`.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub rare: f64,
    /// Share of the phase's tokens below which a token is rare.
    pub rare_below: f64,
    /// Weight of tokens that are punctuation and nothing else.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub punctuation: f64,
}

fn one() -> f64 {
    1.0
}

impl Phase {
    /// A phase with the settings of the run.
    pub fn new(name: &str, steps: u64, context: usize) -> Self {
        Phase {
            name: name.to_owned(),
            steps,
            lr_scale: 1.0,
            learning_rate: None,
            schedule: None,
            context,
            freeze_layers: None,
            freeze_ramp: Vec::new(),
            loss_weights: None,
            no_improvement: None,
            part: None,
        }
    }

    /// Place of the 0-based `step` of this phase in the whole phase, and the steps of that.
    pub fn in_whole(&self, step: u64) -> (u64, u64) {
        self.part.map_or((step, self.steps), |Part { first, of }| (first + step, of))
    }

    /// True if no part of the whole phase comes after this one.
    pub fn is_last_part(&self) -> bool {
        let (end, of) = self.in_whole(self.steps);
        end == of
    }

    /// True if `before` is the part before this one.
    pub fn continues(&self, before: &Phase) -> bool {
        let (end, _) = before.in_whole(before.steps);
        self.name == before.name && self.part.is_some_and(|part| part.first > 0 && part.first == end)
    }

    /// Name of the order of this phase's samples. A part has samples of another length than the one before, so it has
    /// an order of its own.
    pub fn order(&self) -> String {
        match self.part {
            Some(Part { first, .. }) if first > 0 => format!("{}/{}", self.name, self.context),
            _ => self.name.clone(),
        }
    }
}
