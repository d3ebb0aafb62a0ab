//! The steps of the pipeline with a model of a few weights.

mod contamination;
mod lab;
mod pipeline;
mod refused;

pub use lab::Lab;
#[cfg(feature = "train")]
pub use pipeline::pipeline;
