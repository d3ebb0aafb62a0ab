//! `stepwell bench generate`: compares text generation with `transformers`, in turns.

mod material;
mod measure;
mod worker;

pub use measure::{GenerateOptions, generate};
pub use worker::work;
