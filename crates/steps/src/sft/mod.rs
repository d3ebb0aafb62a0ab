//! Step kind `sft.tokenize`: examples of prompts and answers become tokens, of which only the answers are learned.

mod arguments;
mod example_encoder;
mod handler;
mod lines;
mod refused;
mod row;
#[cfg(test)]
pub(super) mod tests;
mod token_writer;

pub(super) use arguments::{Arguments, OnBadRow};
pub use example_encoder::{Encoded, ExampleEncoder};
pub use handler::SFT_TOKENIZE;
pub(super) use handler::fingerprint_of;
pub use lines::Lines as ExampleLines;
pub(super) use refused::RefusedRows;
pub(super) use row::{BadRow, Row, row_of};
pub(super) use token_writer::TokenWriter;
