//! Copies the database while an engine writes, and restores a copy while none runs. A backup is a folder laid out like
//! a state directory, so every verb that reads can read a backup.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup as Copying, StepResult};
use rusqlite::{Connection, OpenFlags};
use uuid::Uuid;

use stepwell_base::faults::around;

use super::check::check;
use super::connection::{BUSY_TIMEOUT, PAUSE, create_dir};
use super::error::StoreError;
use super::head::HeadFile;
use super::layout::{BACKUPS_DIR, DATABASE_FILE, HEAD_FILE};
use super::lock::EngineLock;
use super::reader::Reader;
use super::writer::Store;
use super::{chain, migrate};

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
    settle(&staged.join(DATABASE_FILE))?;
    sync(&staged.join(HEAD_FILE))?;
    sync(staged)
}

fn refuse_damage(folder: &Path, path: &Path) -> Result<(), StoreError> {
    let problems = check(folder)?;
    match problems.first() {
        None => Ok(()),
        Some(problem) => Err(StoreError::DamagedBackup { path: path.to_owned(), what: problem.what.clone() }),
    }
}

/// Links the files that are about to be replaced into a new folder.
fn keep_replaced(state_dir: &Path) -> Result<Option<PathBuf>, StoreError> {
    if !state_dir.join(DATABASE_FILE).exists() {
        return Ok(None);
    }
    let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%3fZ");
    let kept = state_dir.join(BACKUPS_DIR).join(format!("replaced-{stamp}"));
    create_dir(&kept)?;
    for name in [DATABASE_FILE.to_owned(), wal_of(DATABASE_FILE), HEAD_FILE.to_owned()] {
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

/// Content of `event-head` while the database is being replaced.
pub(super) const RESTORING: &str = "a restore was not finished\n";

fn wal_of(database: &str) -> String {
    format!("{database}-wal")
}

/// Copies a database into a single file without a WAL; durable on return.
fn copy_database(source: &Connection, copy: &Path) -> Result<(), StoreError> {
    let mut target = Connection::open(copy)?;
    around!("store.snapshot.write", copy_all(source, &mut target, BUSY_TIMEOUT)).map_err(|error| error.at(copy))?;
    drop(target);
    settle(copy)
}

/// Copies every page. SQLite reports a locked source as a step result, not as an error.
fn copy_all(source: &Connection, target: &mut Connection, patience: Duration) -> Result<(), StoreError> {
    let deadline = Instant::now() + patience;
    let copying = Copying::new(source, target)?;
    loop {
        match copying.step(-1)? {
            StepResult::Done => return Ok(()),
            _ if Instant::now() > deadline => {
                let path = PathBuf::from(source.path().unwrap_or_default());
                return Err(StoreError::Busy { path });
            }
            _ => sleep(PAUSE),
        }
    }
}

/// Empties and removes the WAL of a database that no other process has open.
fn settle(database: &Path) -> Result<(), StoreError> {
    let connection = Connection::open(database)?;
    let change = connection.pragma_update_and_check(None, "journal_mode", "delete", |row| row.get::<_, String>(0));
    // SQLite returns the old mode when another process has the database open.
    if change.map_err(|error| StoreError::from(error).at(database))? != "delete" {
        return Err(StoreError::Busy { path: database.to_owned() });
    }
    connection.close().map_err(|(_, error)| StoreError::from(error).at(database))?;
    sync(database)
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync(path: &Path) -> Result<(), StoreError> {
    let sync = || File::open(path)?.sync_all();
    around!("store.snapshot.fsync", sync()).map_err(|error| StoreError::io("sync", path, error))
}

fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    around!("store.restore.rename", fs::rename(from, to)).map_err(|error| StoreError::io("replace", to, error))
}

fn remove(path: &Path) -> Result<(), StoreError> {
    let remove = || match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    around!("store.restore.remove", remove()).map_err(|error| StoreError::io("remove", path, error))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    #[test]
    fn a_copy_of_a_locked_database_waits_or_fails_and_never_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let (path, copy) = (dir.path().join("a.db"), dir.path().join("b.db"));
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)").unwrap();
        let (locked, is_locked) = channel();
        let (release, is_released) = channel::<()>();
        let holder = thread::spawn({
            let path = path.clone();
            move || {
                let connection = Connection::open(path).unwrap();
                connection.execute_batch("BEGIN EXCLUSIVE").unwrap();
                locked.send(()).unwrap();
                is_released.recv().unwrap();
                thread::sleep(Duration::from_millis(20));
                connection.execute_batch("ROLLBACK").unwrap();
            }
        });
        is_locked.recv().unwrap();
        let source = Connection::open(&path).unwrap();
        source.busy_timeout(Duration::ZERO).unwrap();
        let mut target = Connection::open(&copy).unwrap();
        let refused = copy_all(&source, &mut target, Duration::from_millis(10));
        assert!(matches!(refused, Err(StoreError::Busy { path: busy }) if busy == path.canonicalize().unwrap()));
        release.send(()).unwrap();
        copy_all(&source, &mut target, BUSY_TIMEOUT).unwrap();
        holder.join().unwrap();
        let rows: i64 = target.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 1);
    }

    #[test]
    fn a_database_that_somebody_else_has_open_does_not_count_as_settled() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let reader = Connection::open(&path).unwrap();
        reader.execute_batch("PRAGMA journal_mode = wal; CREATE TABLE t (x); BEGIN; SELECT * FROM t").unwrap();
        assert!(matches!(settle(&path), Err(StoreError::Busy { .. })));
        reader.execute_batch("ROLLBACK").unwrap();
        drop(reader);
        settle(&path).unwrap();
    }
}
