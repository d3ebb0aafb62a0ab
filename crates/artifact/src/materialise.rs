//! Writes artifacts as plain files and folders. A name appears only when everything under it is complete.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use stepwell_base::artifact::{ArtifactRef, Digest, EXECUTABLE_MEDIA_TYPE};
use stepwell_base::faults::around;

use super::durable;
use super::error::ArtifactError;
use super::local::{ArtifactStore, for_each_chunk};

impl ArtifactStore {
    /// Writes an artifact to `dest`: a tree as a folder, anything else as a file. The copy grows under a temporary
    /// name next to `dest`, is verified on the way, synced and renamed. A file may replace an existing regular
    /// file, a tree an empty folder. A link, a pipe or a device is never replaced.
    ///
    /// # Errors
    /// `Occupied`, `Missing`, `Damaged`, `NoSpace` or `Io`; `dest` is unchanged then.
    pub fn materialise(&self, artifact: &ArtifactRef, dest: &Path) -> Result<(), ArtifactError> {
        let occupied = match fs::symlink_metadata(dest) {
            Err(_) => false,
            Ok(found) if found.is_dir() => !artifact.is_tree() || !is_empty(dest),
            Ok(found) => artifact.is_tree() || !found.is_file(),
        };
        if occupied {
            return Err(ArtifactError::Occupied { path: dest.to_owned() });
        }
        let parent = dest.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        durable::create_dir(parent)?;
        let partial = Partial(partial_path(dest));
        if artifact.is_tree() {
            self.copy_tree(artifact, &partial.0)?;
        } else {
            self.copy_file(artifact, &partial.0)?;
        }
        durable::publish(&partial.0, dest, parent)
    }

    fn copy_tree(&self, artifact: &ArtifactRef, folder: &Path) -> Result<(), ArtifactError> {
        fs::create_dir(folder).map_err(|source| ArtifactError::io("create the folder", folder, source))?;
        for (path, entry) in self.read_tree(artifact)?.entries {
            let target = folder.join(&path);
            let parent = target.parent().unwrap_or(folder);
            durable::create_dir(parent)?;
            if entry.is_tree() {
                self.copy_tree(&entry, &target)?;
            } else {
                self.copy_file(&entry, &target)?;
            }
            durable::sync_dir(parent)?;
        }
        durable::sync_dir(folder)
    }

    fn copy_file(&self, artifact: &ArtifactRef, target: &Path) -> Result<(), ArtifactError> {
        let source = self.blob_path(&artifact.digest);
        File::open(&source).map_err(|error| self.read_error(&artifact.digest, &source, error))?;
        let failed = |error| ArtifactError::io("write", target, error);
        let mode = if artifact.media_type == EXECUTABLE_MEDIA_TYPE { 0o777 } else { 0o666 };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(target).map_err(failed)?;
        let mut hasher = blake3::Hasher::new();
        for_each_chunk(&source, |chunk| {
            hasher.update(chunk);
            around!("artifact.copy.write", file.write_all(chunk)).map_err(failed)
        })?;
        let actual = Digest::from(hasher.finalize());
        if actual != artifact.digest {
            return Err(ArtifactError::Damaged { digest: artifact.digest.clone(), path: source, actual });
        }
        around!("artifact.copy.fsync", file.sync_all()).map_err(failed)
    }
}

/// Removes an unfinished copy on drop. After the rename there is nothing to remove.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        // Best effort: the name tells that the copy is partial, and the caller reports the error that led here.
        let _ = match fs::symlink_metadata(&self.0) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&self.0),
            Ok(_) => fs::remove_file(&self.0),
            Err(error) => Err::<(), io::Error>(error),
        };
    }
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// Hidden sibling of `dest`: a rename must stay on one file system.
fn partial_path(dest: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(dest.file_name().unwrap_or_default());
    name.push(format!(".{}.partial", Uuid::now_v7().simple()));
    dest.with_file_name(name)
}
