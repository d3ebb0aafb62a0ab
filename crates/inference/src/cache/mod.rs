//! The cache of keys and values: blocks of 32 tokens from one pool, shared by sequences with the same first tokens.

mod blocks;
mod pool;

pub use blocks::{Blocks, Node};
pub use pool::{BLOCK_TOKENS, BlockLayout, Pool, PoolError};
