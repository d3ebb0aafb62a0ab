//! File operations of the store.

use std::fs::{self, File};
use std::path::Path;

use stepwell_base::faults::around;

use crate::error::StoreError;

/// Creates a folder and its parents, and makes each of them durable.
pub(crate) fn create_dir(dir: &Path) -> Result<(), StoreError> {
    if dir.as_os_str().is_empty() || dir.is_dir() {
        return Ok(());
    }
    let parent = parent(dir);
    create_dir(parent)?;
    let create = || match fs::create_dir(dir) {
        Err(error) if !dir.is_dir() => Err(error),
        _ => File::open(parent)?.sync_all(),
    };
    around!("store.folder.create", create()).map_err(|error| StoreError::io("create the folder", dir, error))
}

/// The folder of a path; `.` for a bare name.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Syncs a file or a folder.
pub(crate) fn sync(path: &Path) -> Result<(), StoreError> {
    let sync = || File::open(path)?.sync_all();
    around!("store.snapshot.fsync", sync()).map_err(|error| StoreError::io("sync", path, error))
}

/// Removes a file, if there is one.
pub(crate) fn remove(path: &Path) -> Result<(), StoreError> {
    let remove = || match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    around!("store.restore.remove", remove()).map_err(|error| StoreError::io("remove", path, error))
}
