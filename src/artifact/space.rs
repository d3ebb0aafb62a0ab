//! Room on the disk, asked for before anything is written.

use std::fs::File;
use std::io;
use std::path::Path;

use super::error::ArtifactError;
use super::local::ArtifactStore;

/// What artifacts leave free, so that the database and the logs can go on.
pub const HEADROOM_BYTES: u64 = 4 << 20;
/// Smaller files are written faster than their blocks are reserved.
const WORTH_RESERVING: u64 = 1 << 20;

/// Bytes that this user may still write to the file system of `path`. A quota is not part of it.
///
/// # Errors
/// When the file system does not say.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

impl ArtifactStore {
    /// Makes sure that `bytes` fit on the disk and [`HEADROOM_BYTES`] stay free. For content of several files,
    /// such as a checkpoint, before the first of them is written: it would be of no use in half.
    ///
    /// # Errors
    /// `NoSpace`, with the space that is needed.
    pub fn check_space(&self, bytes: u64) -> Result<(), ArtifactError> {
        let needed = bytes.saturating_add(HEADROOM_BYTES);
        // A file system that does not say lets the write itself find out.
        match free_bytes(self.temp_dir()) {
            Ok(free) if free < needed => Err(ArtifactError::no_space(self.temp_dir(), needed)),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// Reserves the blocks of a file that will have `bytes`, so that it is either written to the end or not begun.
///
/// # Errors
/// `NoSpace`; a file system that cannot reserve is no error.
pub(super) fn reserve(file: &File, path: &Path, bytes: u64) -> Result<(), ArtifactError> {
    if bytes < WORTH_RESERVING {
        return Ok(());
    }
    match allocate(file, bytes).map_err(|error| error.kind()) {
        Err(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
            Err(ArtifactError::no_space(path, bytes.saturating_add(HEADROOM_BYTES)))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(target_os = "linux")]
fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    Ok(rustix::fs::fallocate(file, rustix::fs::FallocateFlags::KEEP_SIZE, 0, bytes)?)
}

#[cfg(not(target_os = "linux"))]
fn allocate(_file: &File, _bytes: u64) -> io::Result<()> {
    Ok(())
}
