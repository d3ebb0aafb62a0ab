//! Kernels: products, attention and element-wise functions. None of their results depends on the number of rows, threads
//! or pieces of a prompt.

mod attention;
mod bytes;
mod dtype;
mod elementwise;
mod matrix;
mod memory;
mod paged;
mod product;
mod quantised;
mod rows;
mod tile;
mod workers;

#[cfg(test)]
mod tests;

pub use attention::{Piece, attend};
pub use dtype::{BLOCK, Dtype, Q8Block, UnknownDtype};
pub use elementwise::{add_and_norm, add_to, by_rows, largest, norm_heads, rotate, swiglu};
pub use matrix::{Matrix, Rows};
pub use memory::Memory;
pub use paged::{BLOCK_TOKENS, CacheForm, HeadLayout, KeysAndValues, store};
pub use product::{Input, product};
pub use quantised::Quantised;
pub use rows::Activations;
pub use workers::Workers;
