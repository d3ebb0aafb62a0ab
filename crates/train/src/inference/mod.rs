//! Continues texts with a trained model.

pub mod decoder;
mod generate;
mod options;
mod sampling;

pub use generate::{generate, generate_each, generate_with};
pub use options::{GenerateError, GenerateOptions};
