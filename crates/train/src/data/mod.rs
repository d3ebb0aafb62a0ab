//! Turns token files into the rows of batches.

mod bins;
mod error;
#[cfg(test)]
pub(crate) mod fixtures;
mod mixture;
mod mmap;
mod order;
mod packing;
mod sampler;
mod shard;
mod stream;

pub use error::DataError;
pub use mixture::Mixture;
pub use order::{Permutation, order};
pub use packing::{NOT_COUNTED, PackedRow, Packing, PackingKind, row_at};
pub use sampler::{Example, RowShape, Sampler, Taken};
pub use shard::TokenShard;
pub use stream::TokenStream;
