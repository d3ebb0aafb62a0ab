//! Measures SQLite's own commit rate on a disk, the baseline for the engine's rates.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior};

use crate::error::StoreError;

/// Measures `commits` transactions of `rows` rows each in a new database in `folder`, with WAL, `synchronous=FULL` and
/// SQLite's defaults otherwise.
///
/// # Errors
/// `Io` or `NoSpace` when the database cannot be written.
pub fn raw_commits(folder: &Path, commits: usize, rows: usize) -> Result<Duration, StoreError> {
    let path = folder.join("floor.db");
    for name in ["floor.db", "floor.db-wal", "floor.db-shm"] {
        match std::fs::remove_file(folder.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::io("remove", &folder.join(name), error));
            }
            _ => {}
        }
    }
    measure(&path, commits, rows).map_err(|error| error.at(&path))
}

fn measure(path: &Path, commits: usize, rows: usize) -> Result<Duration, StoreError> {
    let mut connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "2")?;
    connection.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, content TEXT NOT NULL)", [])?;
    let content = "x".repeat(100);
    let started = Instant::now();
    for _ in 0..commits {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for _ in 0..rows {
            transaction.prepare_cached("INSERT INTO row (content) VALUES (?1)")?.execute([&content])?;
        }
        // No failpoint: a scratch database.
        transaction.commit()?;
    }
    Ok(started.elapsed())
}
