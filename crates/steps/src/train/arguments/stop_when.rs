//! Rule that ends a training or a phase early.

use std::num::NonZeroU64;

use schemars::JsonSchema;
use serde::Deserialize;

/// Rule that ends a training early.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StopWhenArguments {
    /// Number of validations in a row that are not better than the best before.
    pub no_improvement: NonZeroU64,
}
