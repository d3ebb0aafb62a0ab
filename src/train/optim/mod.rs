//! From gradients to updated parameters.

mod adamw;
mod gradients;
mod paths;

pub use adamw::{AdamW, AdamWConfig, OptimizerError};
pub use gradients::GradientSum;
