//! Turns gradients into updated parameters.

mod adafactor;
mod adamw;
mod buffers;
mod config;
mod ema;
mod gradients;
mod groups;
mod muon;
mod norm;
#[cfg(feature = "cube")]
mod on_device;
mod optimizer;
mod paths;
mod state;
mod tracking;

pub use adamw::Clipping;
pub use config::{AdafactorConfig, MuonConfig, OptimizerConfig};
pub use ema::Ema;
pub use gradients::GradientSum;
pub use groups::ParameterGroup;
pub use norm::GlobalNorm;
pub use optimizer::{Absent, Optimizer};
pub use state::OptimizerError;
