//! `tokenize`: turns documents into a token file, with one attempt per shard that can resume inside the shard.

pub(super) mod byte_bpe;
mod encoder;
mod handler;
mod library;
pub(super) mod pieces;
mod shard;
mod source;

#[cfg(test)]
mod tests;

pub use encoder::{Encoder, Method};
pub use handler::TOKENIZE;
#[cfg(feature = "train")]
pub use library::load_tokenizer;
