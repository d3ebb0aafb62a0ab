//! The memory of all blocks.

use std::io;

pub use crate::kernels::BLOCK_TOKENS;
use crate::kernels::{CacheForm, HeadLayout, KeysAndValues, Memory};

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

/// Layout of a block of keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockLayout {
    pub heads: HeadLayout,
    pub layers: usize,
    pub form: CacheForm,
}

impl BlockLayout {
    /// Elements of a block.
    fn len(self) -> usize {
        self.heads.layer_len() * self.layers
    }

    /// Bytes of a block.
    pub fn bytes(self) -> usize {
        self.len() * self.form.bytes()
    }
}

/// Blocks of all layers. The system provides their memory when they are first used.
pub struct Pool {
    memory: Memory,
    layout: BlockLayout,
    /// Lanes of the machine's vectors.
    lanes: usize,
    blocks: usize,
}

impl Pool {
    /// As many blocks as fit into `bytes`.
    ///
    /// # Errors
    /// [`PoolError`] if that is none, or the system refuses.
    pub fn new(bytes: usize, layout: BlockLayout, lanes: usize) -> Result<Self, PoolError> {
        let block = layout.bytes();
        let blocks = (bytes / block).min(u32::MAX as usize);
        if blocks == 0 {
            return Err(PoolError::TooSmall { bytes, block });
        }
        let memory = Memory::new(blocks * block).map_err(|source| PoolError::Memory { bytes, source })?;
        Ok(Pool { memory, layout, lanes, blocks })
    }

    /// Number of blocks.
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// One layer of the pool, without blocks yet.
    pub fn layer(&mut self, index: usize) -> KeysAndValues<'static> {
        KeysAndValues {
            pool: self.memory.bytes_mut().as_mut_ptr(),
            form: self.layout.form,
            lanes: self.lanes,
            block_len: self.layout.len(),
            layer: index * self.layout.heads.layer_len(),
            blocks: &[],
        }
    }
}
