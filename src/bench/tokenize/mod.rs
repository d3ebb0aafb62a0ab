//! `stepwell bench tokenize`: text to token ids next to Hugging Face's `tokenizers`, in turns.

mod material;
mod measure;
mod worker;

pub use measure::{TokenizeOptions, tokenize};
pub use worker::work;
