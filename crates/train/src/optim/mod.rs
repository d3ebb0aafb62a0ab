//! Turns gradients into updated parameters.

mod adamw;
mod buffers;
mod config;
mod gradients;
mod muon;
mod norm;
#[cfg(feature = "cube")]
mod on_device;
mod optimizer;
mod paths;
mod tracking;

pub use adamw::Clipping;
pub use config::{MuonConfig, OptimizerConfig};
pub use gradients::GradientSum;
pub use norm::GlobalNorm;
pub use optimizer::{Absent, Optimizer, OptimizerError};
