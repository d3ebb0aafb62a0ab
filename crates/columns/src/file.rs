//! A file of known length that is read at offsets.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::error::ColumnError;

/// Bounds on the memory that a file can ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Most bytes of a page or of a buffer of a record batch, compressed or not.
    pub block_bytes: u64,
    /// Most bytes of a footer, a page header or the description of a record batch.
    pub metadata_bytes: u64,
}

impl Default for Limits {
    /// 1 GiB and 64 MiB.
    fn default() -> Self {
        Limits { block_bytes: 1 << 30, metadata_bytes: 64 << 20 }
    }
}

pub struct Stored {
    file: File,
    pub length: u64,
    pub limits: Limits,
}

impl Stored {
    pub fn new(file: File, limits: Limits) -> Result<Stored, ColumnError> {
        let length = file.metadata()?.len();
        Ok(Stored { file, length, limits })
    }

    /// Reads exactly these bytes.
    pub fn read(&self, offset: u64, bytes: u64, what: &'static str) -> Result<Vec<u8>, ColumnError> {
        let wanted = offset.saturating_add(bytes);
        if wanted > self.length {
            return Err(ColumnError::Truncated { length: self.length, what, wanted });
        }
        if bytes > self.limits.block_bytes {
            return Err(ColumnError::TooLarge { offset, what, bytes, limit: self.limits.block_bytes });
        }
        let mut buffer = vec![0; bytes as usize];
        self.file.read_exact_at(&mut buffer, offset)?;
        Ok(buffer)
    }

    /// Reads up to `bytes`, fewer at the end of the file.
    pub fn read_up_to(&self, offset: u64, bytes: u64) -> Result<Vec<u8>, ColumnError> {
        self.read(offset, bytes.min(self.length.saturating_sub(offset)), "a header")
    }
}
