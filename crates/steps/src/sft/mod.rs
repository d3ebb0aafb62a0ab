//! Step kind `sft.tokenize`: examples of prompts and answers become tokens, of which only the answers are learned.

mod arguments;
mod example_encoder;
mod handler;
mod lines;
mod refused;
mod row;
#[cfg(test)]
mod tests;
mod token_writer;

pub use example_encoder::{Encoded, ExampleEncoder};
pub use handler::SFT_TOKENIZE;
pub use lines::Lines as ExampleLines;
