//! Replaces the database with a backup.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use uuid::Uuid;

use stepwell_base::faults::around;

use super::copy::{copy_database, refuse_damage, remove_wal};
use crate::error::StoreError;
use crate::files::{create_dir, remove, sync};
use crate::layout::{BACKUPS_DIR, DATABASE_FILE, HEAD_FILE, RESTORING};
use crate::open::lock::EngineLock;
use crate::open::migrate;
use crate::write::store::Store;

/// Replaces the database of the locked state directory with a backup. `from` is a folder that `Backup` made, or the
/// file of a migration's backup. Returns the folder that keeps the replaced files.
///
/// # Errors
/// `NoBackup`, `NewerSchema`, `DamagedBackup`: nothing was changed.
pub fn restore(lock: &EngineLock, from: &Path) -> Result<Option<PathBuf>, StoreError> {
    let state_dir = lock.state_dir();
    let staged = Staged(state_dir.join(BACKUPS_DIR).join(format!(".restore-{}", Uuid::now_v7().simple())));
    create_dir(&staged.0)?;
    stage(&staged.0, from)?;
    // Empties the WAL of a sound database; a damaged one fails to open, and its files are kept unchanged.
    if state_dir.join(DATABASE_FILE).exists() {
        drop(Store::open(state_dir));
    }
    let folder = File::open(state_dir).map_err(|error| StoreError::io("open", state_dir, error))?;
    folder.lock().map_err(|error| StoreError::io("lock", state_dir, error))?;
    let kept = keep_replaced(state_dir)?;
    swap(state_dir, &staged.0)?;
    Ok(kept)
}

/// A temporary folder, removed on drop.
struct Staged(PathBuf);

impl Drop for Staged {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Copies, migrates and checks the backup in a staging folder, where a failure does no harm.
fn stage(staged: &Path, from: &Path) -> Result<(), StoreError> {
    let source = if from.is_dir() { from.join(DATABASE_FILE) } else { from.to_owned() };
    if !source.is_file() {
        return Err(StoreError::NoBackup { path: from.to_owned() });
    }
    let at = |error: StoreError| error.at(&source);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&source, flags).map_err(|error| at(error.into()))?;
    if migrate::version(&connection, &source).map_err(at)? == 0 {
        return Err(StoreError::DamagedBackup { path: source, what: "it is no database of stepwell".to_owned() });
    }
    copy_database(&connection, &staged.join(DATABASE_FILE)).map_err(at)?;
    if from.is_dir() && from.join(HEAD_FILE).is_file() {
        let copied = around!("store.restore.head", fs::copy(from.join(HEAD_FILE), staged.join(HEAD_FILE)));
        copied.map_err(|error| StoreError::io("copy", &from.join(HEAD_FILE), error))?;
    }
    drop(Store::open(staged)?);
    refuse_damage(staged, &source)?;
    remove_wal(&staged.join(DATABASE_FILE))?;
    sync(&staged.join(HEAD_FILE))?;
    sync(staged)
}

/// Links the files that are about to be replaced into a new folder.
fn keep_replaced(state_dir: &Path) -> Result<Option<PathBuf>, StoreError> {
    if !state_dir.join(DATABASE_FILE).exists() {
        return Ok(None);
    }
    let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%3fZ");
    let kept = state_dir.join(BACKUPS_DIR).join(format!("replaced-{stamp}"));
    create_dir(&kept)?;
    for name in [DATABASE_FILE.to_owned(), format!("{DATABASE_FILE}-wal"), HEAD_FILE.to_owned()] {
        let (file, copy) = (state_dir.join(&name), kept.join(&name));
        if file.exists() {
            let link = || fs::hard_link(&file, &copy).or_else(|_| fs::copy(&file, &copy).map(drop));
            around!("store.restore.keep", link()).map_err(|error| StoreError::io("keep", &file, error))?;
            sync(&copy)?;
        }
    }
    sync(&kept)?;
    Ok(Some(kept))
}

/// Installs the staged files. A kill at any instant leaves the old database, the new one, or a state that is refused
/// with the advice to restore again; never an old WAL beside the new database.
fn swap(state_dir: &Path, staged: &Path) -> Result<(), StoreError> {
    let head = state_dir.join(HEAD_FILE);
    let marker = staged.join("marker");
    around!("store.restore.mark", fs::write(&marker, RESTORING))
        .map_err(|error| StoreError::io("write", &marker, error))?;
    sync(&marker)?;
    rename(&marker, &head)?;
    for suffix in ["-wal", "-shm"] {
        remove(&state_dir.join(format!("{DATABASE_FILE}{suffix}")))?;
    }
    sync(state_dir)?;
    rename(&staged.join(DATABASE_FILE), &state_dir.join(DATABASE_FILE))?;
    sync(state_dir)?;
    rename(&staged.join(HEAD_FILE), &head)?;
    sync(state_dir)
}

fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    around!("store.restore.rename", fs::rename(from, to)).map_err(|error| StoreError::io("replace", to, error))
}
