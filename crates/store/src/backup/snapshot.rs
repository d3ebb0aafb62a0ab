//! Makes a backup.

use std::fs;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use stepwell_base::faults::around;

use super::copy::{copy_database, refuse_damage};
use crate::error::StoreError;
use crate::files::{create_dir, parent, remove, sync};
use crate::integrity::chain;
use crate::integrity::head::HeadFile;
use crate::layout::{DATABASE_FILE, HEAD_FILE};
use crate::read::reader::Reader;

/// A backup in progress. The folder gets its final name once everything in it is durable; dropping the value before
/// that removes it.
pub struct Backup {
    state_dir: PathBuf,
    partial: PathBuf,
    dest: PathBuf,
}

impl Backup {
    /// Prepares a backup of `state_dir` as the new folder `dest`.
    ///
    /// # Errors
    /// `Exists`; `Io` when the folder cannot be created.
    pub fn begin(state_dir: &Path, dest: &Path) -> Result<Backup, StoreError> {
        if fs::symlink_metadata(dest).is_ok() {
            return Err(StoreError::Exists { path: dest.to_owned() });
        }
        let name = dest.file_name().unwrap_or_default().to_string_lossy();
        let partial = dest.with_file_name(format!(".{name}.{}", Uuid::now_v7().simple()));
        create_dir(&partial)?;
        Ok(Backup { state_dir: state_dir.to_owned(), partial, dest: dest.to_owned() })
    }

    /// The folder under construction; it has a temporary name until `publish`.
    pub fn folder(&self) -> &Path {
        &self.partial
    }

    /// Copies the database as of one instant and checks the copy. A second call replaces the first copy.
    ///
    /// # Errors
    /// `NoState`; `DamagedBackup` when the database itself is damaged; `NoSpace`, `Io`.
    pub fn snapshot(&self) -> Result<(), StoreError> {
        let copy = self.partial.join(DATABASE_FILE);
        remove(&copy)?;
        remove(&self.partial.join(HEAD_FILE))?;
        let reader = Reader::open(&self.state_dir)?;
        let head = {
            // Without a read transaction, the copy would restart at every commit of an engine.
            let snapshot = reader.connection.unchecked_transaction()?;
            let head = chain::head(&snapshot)?;
            copy_database(&snapshot, &copy)?;
            head
        };
        drop(HeadFile::open(&self.partial, &head)?);
        refuse_damage(&self.partial, &self.state_dir.join(DATABASE_FILE))
    }

    /// Renames the folder to its final name.
    ///
    /// # Errors
    /// `Exists` when something has appeared at that path in the meantime; `Io`.
    pub fn publish(self) -> Result<(), StoreError> {
        if fs::symlink_metadata(&self.dest).is_ok() {
            return Err(StoreError::Exists { path: self.dest.clone() });
        }
        sync(&self.partial)?;
        let publish = around!("store.snapshot.publish", fs::rename(&self.partial, &self.dest));
        publish.map_err(|error| StoreError::io("publish", &self.dest, error))?;
        sync(parent(&self.dest))
    }
}

impl Drop for Backup {
    fn drop(&mut self) {
        // After `publish` this name no longer exists.
        let _ = fs::remove_dir_all(&self.partial);
    }
}
