//! Makes files survive a power cut, in this order: write, fsync, rename, fsync the folder.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use stepwell_base::faults::around;

use super::error::ArtifactError;

pub(super) fn sync_dir(dir: &Path) -> Result<(), ArtifactError> {
    let sync = || File::open(dir)?.sync_all();
    around!("artifact.fsync_folder", sync()).map_err(|source| ArtifactError::io("fsync the folder", dir, source))
}

/// Creates a folder and its parents; each new entry is durable on return.
pub(super) fn create_dir(dir: &Path) -> Result<(), ArtifactError> {
    if dir.as_os_str().is_empty() || dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_dir(parent)?;
    match around!("artifact.folder.create", fs::create_dir(dir)) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
        Err(source) => return Err(ArtifactError::io("create the folder", dir, source)),
    }
    sync_dir(parent)
}

/// Renames a synced file, or a folder whose content is synced, to its final name in `folder`.
pub(super) fn publish(temp: &Path, target: &Path, folder: &Path) -> Result<(), ArtifactError> {
    around!("artifact.rename", fs::rename(temp, target))
        .map_err(|source| ArtifactError::io("publish", target, source))?;
    sync_dir(folder)
}
