//! Arguments of the guard against steps that would spoil the model.

use schemars::JsonSchema;
use serde::Deserialize;

use stepwell_train::training::guard::GuardRule;

/// What the guard takes for a spike, and what it does about one: it skips such steps, then cuts the learning rate, then
/// goes back to a checkpoint and leaves out the samples in between.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GuardArguments {
    /// A loss or gradient norm this many standard deviations above the mean of the last `window` normal steps, or one
    /// that is no finite number, makes a step suspect. Default: 6.
    pub z_score: f64,
    /// Number of normal steps that mean and deviation are taken from. Default: 50.
    pub window: u32,
    /// Suspect steps in a row that are skipped before the rate is cut; as many are then taken at the lower rate.
    /// Default: 3.
    pub patience: u32,
    /// Factor on the learning rate of all later steps, when skipping did not help. Default: 0.5.
    pub cut: f64,
    /// Number of times that the training may go back to a checkpoint, which needs `checkpoint_every`. Then it fails.
    /// Default: 3.
    pub rewinds: u32,
}

impl Default for GuardArguments {
    fn default() -> Self {
        GuardArguments { z_score: 6.0, window: 50, patience: 3, cut: 0.5, rewinds: 3 }
    }
}

impl GuardArguments {
    pub fn rule(self) -> GuardRule {
        let GuardArguments { z_score, window, patience, cut, rewinds } = self;
        GuardRule { z_score, window, patience, cut, rewinds }
    }
}
