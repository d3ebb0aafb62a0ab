//! A file that grows and survives the attempt: append-only, with a running hash.
//!
//! A record names its length and digest at some point. A later attempt truncates the file to that length and checks
//! the digest. This removes bytes that were written after the record or torn by a crash.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::corpus_documents::write_failure;
use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::{ArtifactRef, Digest};
use stepwell_base::failure::Failure;

/// State of a partial file at a checkpoint.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
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
    path: PathBuf,
    file: File,
    /// Bytes that are neither hashed nor written yet.
    buffer: Vec<u8>,
    hasher: blake3::Hasher,
    bytes: u64,
}

/// Bytes that are hashed and written at once.
const BUFFER: usize = 1 << 18;

impl GrowingFile {
    pub fn create(path: &Path) -> io::Result<Self> {
        // One that was about to be published cannot be written.
        let _ = std::fs::remove_file(path);
        let file = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(path)?;
        Ok(GrowingFile::new(path, file, blake3::Hasher::new(), 0))
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
        Ok(GrowingFile::new(path, file, hasher, state.bytes))
    }

    fn new(path: &Path, file: File, hasher: blake3::Hasher, bytes: u64) -> Self {
        GrowingFile { path: path.to_owned(), file, buffer: Vec::new(), hasher, bytes }
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER { self.write_buffer() } else { Ok(()) }
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        self.hasher.update(&self.buffer);
        self.file.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Makes everything appended durable and returns its length and digest.
    pub fn sync(&mut self) -> io::Result<FileState> {
        self.write_buffer()?;
        self.file.sync_data()?;
        Ok(FileState { bytes: self.bytes, digest: self.hasher.finalize().to_hex().to_string() })
    }

    /// Copies the whole content to `out` and checks it against the hash of what was appended.
    ///
    /// # Errors
    /// When reading or writing fails, or the file no longer holds what was appended.
    pub fn copy_to(mut self, out: &mut impl Write) -> io::Result<()> {
        self.write_buffer()?;
        let file = &mut self.file;
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

    /// Moves the file into the artifact store.
    ///
    /// # Errors
    /// When it cannot be synced or renamed.
    pub fn publish(mut self, artifacts: &ArtifactStore, media_type: &str) -> Result<ArtifactRef, Failure> {
        self.write_buffer().map_err(|error| write_failure(&self.path.display().to_string(), &error))?;
        let digest = Digest::from(self.hasher.finalize());
        Ok(artifacts.take_file(&self.path, digest, self.bytes, media_type)?)
    }
}
