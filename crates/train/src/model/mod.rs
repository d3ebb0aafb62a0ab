//! The decoder-only transformer, its configuration and its files.

mod batch;
mod block;
pub mod config;
pub mod flops;
mod forward;
pub mod hf_config;
mod layout;
pub mod lora;
mod named;
pub mod scales;
pub mod shared;
mod transformer;
pub mod weights;

#[cfg(test)]
#[cfg(feature = "flex")]
mod golden_tests;
#[cfg(test)]
#[cfg(feature = "flex")]
mod tests;

pub use batch::Batch;
pub use layout::{InitialValue, Matrices, WeightSpec, weight_specs};
pub use transformer::Transformer;
