//! Disk space, checked before anything is written.

use std::fs::File;
use std::io;
use std::path::Path;

use super::error::ArtifactError;
use super::local::ArtifactStore;

/// Space in bytes that artifacts leave free for the database and the logs.
pub const HEADROOM_BYTES: u64 = 4 << 20;
/// Smallest file size in bytes that is worth a reservation. Smaller files are written faster than their blocks are
/// reserved.
const WORTH_RESERVING: u64 = 1 << 20;

/// Bytes that this user can still write to the file system of `path`. Quotas are not considered.
///
/// # Errors
/// When the file system does not tell.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

impl ArtifactStore {
    /// Makes sure that `bytes` fit on the disk and leave [`HEADROOM_BYTES`] free. Call it before the first file of
    /// content that is useless in part, such as a checkpoint.
    ///
    /// # Errors
    /// `NoSpace`, with the space needed.
    pub fn check_space(&self, bytes: u64) -> Result<(), ArtifactError> {
        let needed = bytes.saturating_add(HEADROOM_BYTES);
        // If the file system does not tell, the write itself finds out.
        match free_bytes(self.temp_dir()) {
            Ok(free) if free < needed => Err(ArtifactError::no_space(self.temp_dir(), needed)),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// Reserves the blocks of a file of `bytes` bytes, so that lack of space shows before the first write.
///
/// # Errors
/// `NoSpace`. A file system that cannot reserve is not an error.
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
