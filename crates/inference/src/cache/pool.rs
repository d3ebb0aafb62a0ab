//! The memory of all blocks.

use std::io;

pub use crate::kernels::BLOCK_TOKENS;
use crate::kernels::{HeadLayout, KeysAndValues, Memory};

/// The pool cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    #[error("`cache_bytes` is {bytes}, but one block of {BLOCK_TOKENS} tokens has {block} bytes")]
    TooSmall { bytes: usize, block: usize },
    #[error("the system has not enough memory for a cache of {bytes} bytes; lower `cache_bytes`")]
    Memory {
        bytes: usize,
        #[source]
        source: io::Error,
    },
}

/// Blocks of all layers. The system provides their memory when they are first used.
pub struct Pool {
    memory: Memory,
    block_len: usize,
    blocks: usize,
}

/// Bytes of a block of one model.
fn block_bytes(layout: HeadLayout, layers: usize) -> usize {
    layout.layer_len() * layers * size_of::<f32>()
}

impl Pool {
    /// As many blocks as fit into `bytes`.
    ///
    /// # Errors
    /// [`PoolError`] if that is none, or the system refuses.
    pub fn new(bytes: usize, layout: HeadLayout, layers: usize) -> Result<Self, PoolError> {
        let block = block_bytes(layout, layers);
        let blocks = (bytes / block).min(u32::MAX as usize);
        if blocks == 0 {
            return Err(PoolError::TooSmall { bytes, block });
        }
        let memory = Memory::new(blocks * block).map_err(|source| PoolError::Memory { bytes, source })?;
        Ok(Pool { memory, block_len: block / size_of::<f32>(), blocks })
    }

    /// Number of blocks.
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// One layer of the pool, without blocks yet.
    pub fn layer(&mut self, index: usize, layout: HeadLayout) -> KeysAndValues<'static> {
        let pool = self.memory.bytes_mut().as_mut_ptr().cast();
        KeysAndValues { pool, block_len: self.block_len, layer: index * layout.layer_len(), blocks: &[] }
    }
}
