//! Copies the content of a state directory into a backup, and back.

use std::collections::BTreeSet;
use std::path::Path;

use stepwell_artifact::{ArtifactError, ArtifactStore, Holder};
use stepwell_store::{Backup, Reader};

use super::error::MaintenanceError;

/// Maximum number of retries because an engine drops a checkpoint between the copies of the database and of its files.
const TRIES: usize = 10;

/// Copies all content that the backup's database refers to, and copies the database again if content is gone. Returns
/// the number of files.
///
/// # Errors
/// When content is missing or damaged, or the backup cannot be written.
pub fn back_up_artifacts(state_dir: &Path, backup: &Backup) -> Result<usize, MaintenanceError> {
    let (source, target) = (ArtifactStore::open(state_dir)?, ArtifactStore::open_as(backup.folder(), &Holder::Nobody)?);
    let mut tries = 0;
    loop {
        match copy(&Reader::open(backup.folder())?, &source, &target) {
            Ok(copied) => return Ok(copied),
            // A running engine may have dropped the checkpoint meanwhile; a newer copy does not refer to it.
            Err(MaintenanceError::Unreadable { source: ArtifactError::Missing { .. }, .. }) if tries < TRIES => {
                tries += 1;
                backup.snapshot()?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Restores content that the state refers to and that is missing or damaged. Returns the number of files.
///
/// # Errors
/// When the store cannot be written.
pub fn put_back_artifacts(state_dir: &Path, backup: &Path) -> Result<usize, MaintenanceError> {
    let (source, target) = (ArtifactStore::open(backup)?, ArtifactStore::open_as(state_dir, &Holder::Nobody)?);
    copy(&Reader::open(state_dir)?, &source, &target)
}

fn copy(reader: &Reader, source: &ArtifactStore, target: &ArtifactStore) -> Result<usize, MaintenanceError> {
    let mut seen = BTreeSet::new();
    let mut copied = 0;
    let of_steps = reader.references(None)?.into_iter().map(|found| (found.to_string(), found.artifact));
    let of_clients = reader.served_content()?.into_iter().map(|content| ("a file of the API".to_owned(), content));
    for (holder, artifact) in of_steps.chain(of_clients) {
        let unreadable = |source| MaintenanceError::Unreadable { holder: holder.clone(), source };
        let mut waiting = vec![artifact];
        while let Some(artifact) = waiting.pop() {
            if !seen.insert(artifact.digest.clone()) {
                continue;
            }
            if target.verified_path(&artifact).is_err() {
                let path = source.verified_path(&artifact).map_err(unreadable)?;
                if let Err(error) = target.put_file(&path, &artifact.media_type) {
                    // An engine may have dropped the content after its verification.
                    source.verified_path(&artifact).map_err(unreadable)?;
                    return Err(error.into());
                }
                copied += 1;
            }
            if artifact.is_tree() {
                waiting.extend(target.read_tree(&artifact).map_err(unreadable)?.entries.into_values());
            }
        }
    }
    Ok(copied)
}
