//! `stepwell bench infer`: the inference engine next to `transformers` and `llama-cpp-python`, in turns.

mod library;
mod material;
mod measure;
mod options;
mod side;
mod worker;

pub use library::{Library, UnknownLibrary};
pub use measure::infer;
pub use options::InferOptions;
pub use worker::work;
