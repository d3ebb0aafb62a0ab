//! `stepwell bench tokenize`: compares encoding with Hugging Face's `tokenizers`, in turns.

mod material;
mod measure;
mod worker;

pub use measure::{TokenizeOptions, tokenize};
pub use worker::work;
