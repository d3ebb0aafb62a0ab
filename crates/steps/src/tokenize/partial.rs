//! The unfinished token file: token ids and document ends in two append-only files with a running hash.
//!
//! A checkpoint records their lengths and digests. A later attempt truncates the files to those lengths and checks
//! the digests. This removes bytes that were written after the checkpoint or torn by a crash.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// State of a partial file at a checkpoint.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileState {
    pub bytes: u64,
    /// BLAKE3 of these bytes.
    pub digest: String,
}

/// Reason that a partial file cannot continue from a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    #[error("cannot read the partial file: {0}")]
    Io(#[from] io::Error),
    #[error("the partial file has {actual} bytes, fewer than the {expected} of the checkpoint")]
    Short { expected: u64, actual: u64 },
    #[error("the partial file is damaged: its digest differs from the checkpoint's")]
    Damaged,
}

/// An append-only file with the hash of its content.
pub struct GrowingFile {
    out: BufWriter<File>,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl GrowingFile {
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(path)?;
        Ok(GrowingFile { out: BufWriter::with_capacity(1 << 18, file), hasher: blake3::Hasher::new(), bytes: 0 })
    }

    /// Opens a file to append after its first `state.bytes` bytes, and drops the rest.
    ///
    /// # Errors
    /// When the file is shorter, or its first bytes do not match the digest.
    pub fn resume(path: &Path, state: &FileState) -> Result<Self, ResumeError> {
        let mut file = OpenOptions::new().read(true).write(true).open(path)?;
        let actual = file.metadata()?.len();
        if actual < state.bytes {
            return Err(ResumeError::Short { expected: state.bytes, actual });
        }
        file.set_len(state.bytes)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(&file)?;
        if hasher.finalize().to_hex().as_str() != state.digest {
            return Err(ResumeError::Damaged);
        }
        file.seek(SeekFrom::End(0))?;
        Ok(GrowingFile { out: BufWriter::with_capacity(1 << 18, file), hasher, bytes: state.bytes })
    }

    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Makes everything appended durable and returns its length and digest.
    pub fn sync(&mut self) -> io::Result<FileState> {
        self.out.flush()?;
        self.out.get_ref().sync_data()?;
        Ok(FileState { bytes: self.bytes, digest: self.hasher.finalize().to_hex().to_string() })
    }

    /// Copies the whole content to `out` and checks it against the hash of what was appended.
    ///
    /// # Errors
    /// When reading or writing fails, or the file no longer holds what was appended.
    pub fn copy_to(mut self, out: &mut impl Write) -> io::Result<()> {
        self.out.flush()?;
        let file = self.out.get_mut();
        file.seek(SeekFrom::Start(0))?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; 1 << 18];
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            out.write_all(&buffer[..read])?;
        }
        if hasher.finalize() == self.hasher.finalize() {
            Ok(())
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidData, "the partial file changed while it was written"))
        }
    }
}
