//! Copies a whole database.

use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::backup::{Backup as Copying, StepResult};

use stepwell_base::faults::around;

use crate::check::check;
use crate::error::StoreError;
use crate::files::sync;
use crate::open::settings::{BUSY_TIMEOUT, PAUSE};

/// Copies a database into a single file without a WAL; durable on return.
pub(super) fn copy_database(source: &Connection, copy: &Path) -> Result<(), StoreError> {
    let mut target = Connection::open(copy)?;
    around!("store.snapshot.write", copy_all(source, &mut target, BUSY_TIMEOUT)).map_err(|error| error.at(copy))?;
    drop(target);
    remove_wal(copy)
}

/// Copies every page. SQLite reports a locked source as a step result, not as an error.
fn copy_all(source: &Connection, target: &mut Connection, timeout: Duration) -> Result<(), StoreError> {
    let deadline = Instant::now() + timeout;
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
pub(super) fn remove_wal(database: &Path) -> Result<(), StoreError> {
    let connection = Connection::open(database)?;
    let change = connection.pragma_update_and_check(None, "journal_mode", "delete", |row| row.get::<_, String>(0));
    // SQLite returns the old mode when another process has the database open.
    if change.map_err(|error| StoreError::from(error).at(database))? != "delete" {
        return Err(StoreError::Busy { path: database.to_owned() });
    }
    connection.close().map_err(|(_, error)| StoreError::from(error).at(database))?;
    sync(database)
}

/// Fails if the database in `folder` is damaged; `path` is the file that the error names.
pub(super) fn refuse_damage(folder: &Path, path: &Path) -> Result<(), StoreError> {
    let problems = check(folder)?;
    match problems.first() {
        None => Ok(()),
        Some(problem) => Err(StoreError::DamagedBackup { path: path.to_owned(), what: problem.what.clone() }),
    }
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
        assert!(matches!(remove_wal(&path), Err(StoreError::Busy { .. })));
        reader.execute_batch("ROLLBACK").unwrap();
        drop(reader);
        remove_wal(&path).unwrap();
    }
}
