//! `stepwell bench generate`: text generation next to `transformers`, in turns.

mod material;
mod measure;
mod worker;

pub use measure::{GenerateOptions, generate};
pub use worker::work;
