//! Temporary files of writers. Each is locked while its writer lives: an engine that starts, and `gc`, leave it alone then, whatever
//! process writes it. The kernel gives the lock back with the process.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use stepwell_base::faults::around;

use super::error::ArtifactError;

/// Removes its file on drop, unless the file was renamed away.
pub(super) struct TempFile(PathBuf);

impl TempFile {
    /// Creates a file that is locked until the handle is closed.
    pub(super) fn create(folder: &Path) -> Result<(File, TempFile), ArtifactError> {
        loop {
            let path = folder.join(Uuid::now_v7().to_string());
            let failed = |source| ArtifactError::io("create", &path, source);
            let file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(failed)?;
            // A file system without locks does as it did before there were any.
            let _ = file.lock_shared();
            // Somebody may have removed it before it was locked.
            if path.try_exists().map_err(failed)? {
                return Ok((file, TempFile(path)));
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        // Fails after publication, when the file is gone. Any other leftover is swept at the next start.
        let _ = fs::remove_file(&self.0);
    }
}

/// Size of a file whose writer is gone; `None` if the writer lives, or has just published the file.
pub(super) fn abandoned(path: &Path) -> io::Result<Option<u64>> {
    Ok(lock_abandoned(path)?.map(|(_lock, size)| size))
}

/// Removes a file whose writer is gone; returns its size.
pub(super) fn remove_abandoned(path: &Path) -> io::Result<Option<u64>> {
    // The lock keeps a writer away that has created the file and not locked it yet.
    let Some((_lock, size)) = lock_abandoned(path)? else { return Ok(None) };
    match around!("artifact.clean", fs::remove_file(path)) {
        Ok(()) => Ok(Some(size)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn lock_abandoned(path: &Path) -> io::Result<Option<(File, u64)>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    if matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)) {
        return Ok(None);
    }
    let size = file.metadata()?.len();
    Ok(Some((file, size)))
}
