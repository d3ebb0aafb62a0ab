//! Streams content into the store and hashes it on the way to a temporary file.

use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use stepwell_base::artifact::{ArtifactRef, Digest};
use stepwell_base::faults::around;

use super::durable;
use super::error::ArtifactError;
use super::local::ArtifactStore;
use super::space;
use super::temp::TempFile;

const BUFFER: usize = 256 * 1024;
const READ_ONLY: u32 = 0o444;
const PRIVATE: u32 = 0o600;

/// Turns its content into an artifact with `finish`. Dropped before that, it leaves nothing behind.
pub struct ArtifactWriter {
    store: ArtifactStore,
    media_type: String,
    file: BufWriter<HashingFile>,
    temp: TempFile,
}

struct HashingFile {
    file: File,
    hasher: blake3::Hasher,
    size: u64,
}

impl Write for HashingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = around!("artifact.write", self.file.write(bytes))?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ArtifactWriter {
    pub(super) fn create(store: &ArtifactStore, media_type: &str) -> Result<ArtifactWriter, ArtifactError> {
        let (file, temp) = TempFile::create(store.temp_dir())?;
        let hashing = HashingFile { file, hasher: blake3::Hasher::new(), size: 0 };
        Ok(ArtifactWriter {
            store: store.clone(),
            media_type: media_type.to_owned(),
            file: BufWriter::with_capacity(BUFFER, hashing),
            temp,
        })
    }

    /// Makes sure that `bytes` more bytes can be written.
    pub(super) fn reserve(&self, bytes: u64) -> Result<(), ArtifactError> {
        space::reserve(&self.file.get_ref().file, self.temp.path(), bytes)
    }

    pub(super) fn temp_path(&self) -> &Path {
        self.temp.path()
    }

    /// Publishes the written content; durable on return.
    ///
    /// # Errors
    /// When the content cannot be written completely, synced or renamed. Nothing is left behind then.
    pub fn finish(mut self) -> Result<ArtifactRef, ArtifactError> {
        self.sync(READ_ONLY)?;
        let content = self.file.get_ref();
        let (digest, size) = (Digest::from(content.hasher.finalize()), content.size);
        self.store.adopt(self.temp.path(), &digest, size)?;
        Ok(ArtifactRef { digest, size, media_type: self.media_type })
    }

    /// Gives the written content this name instead of its digest, and replaces an earlier file; durable on return.
    pub(super) fn finish_as(mut self, path: &Path, folder: &Path) -> Result<(), ArtifactError> {
        self.sync(PRIVATE)?;
        durable::publish(self.temp.path(), path, folder)
    }

    fn sync(&mut self, mode: u32) -> Result<(), ArtifactError> {
        let failed = |source| ArtifactError::io("write", self.temp.path(), source);
        self.file.flush().map_err(failed)?;
        let content = self.file.get_ref();
        content.file.set_permissions(Permissions::from_mode(mode)).map_err(failed)?;
        around!("artifact.fsync", content.file.sync_all()).map_err(failed)
    }
}

impl Write for ArtifactWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
