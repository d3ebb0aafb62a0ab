//! `tokenize`: documents to a token file, one attempt per shard, resumable inside the shard.

mod encoder;
mod handler;
mod partial;
pub(super) mod pieces;
mod shard;

#[cfg(test)]
mod tests;

#[cfg(feature = "train")]
pub(super) use encoder::Encoder;
pub use handler::TOKENIZE;
