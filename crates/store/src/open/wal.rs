//! Makes the WAL safe before a process writes to it for the first time. After an IO error in an earlier process, frames
//! may be in the system's memory but not on the disk, and the system does not write them by itself; commits appended
//! after them would be lost with them. So the WAL is emptied first. SQLite cannot empty it while another program reads;
//! then its bytes are written again and synced.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use stepwell_base::faults::around;

use super::settings::{BUSY_TIMEOUT, PAUSE};
use crate::error::StoreError;

/// Time to wait for readers to end. Most end at once; a database browser may stay open for hours.
const READERS_TIMEOUT: Duration = Duration::from_millis(250);
const CHUNK: usize = 1 << 20;

/// Makes the WAL safe to append to.
///
/// # Errors
/// `Busy` when another program writes for too long; `Io`, `NoSpace`.
pub(super) fn secure(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    connection.busy_timeout(READERS_TIMEOUT)?;
    let emptied = around!("store.wal.truncate", truncate(connection));
    connection.busy_timeout(BUSY_TIMEOUT)?;
    if emptied? { Ok(()) } else { rewrite(connection, path) }
}

/// Copies the WAL into the database and empties it; false if another process prevents it.
fn truncate(connection: &Connection) -> Result<bool, StoreError> {
    let deadline = Instant::now() + READERS_TIMEOUT;
    loop {
        let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if busy == 0 {
            return Ok(true);
        }
        // SQLite has already waited for readers, but not for another process that empties the WAL.
        if Instant::now() > deadline {
            return Ok(false);
        }
        sleep(PAUSE);
    }
}

/// Writes the readable bytes of the WAL over themselves, so that the system treats them as new and writes them to the
/// disk. Readers see the same bytes before and after, and the write lock blocks processes that would append or empty
/// it.
fn rewrite(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let wal = wal_of(path);
    let lock = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    let write_again = || {
        let file = OpenOptions::new().read(true).write(true).open(&wal)?;
        copy_onto_itself(&file)?;
        file.sync_all()
    };
    around!("store.wal.rewrite", write_again()).map_err(|error| StoreError::io("write", &wal, error))?;
    Ok(lock.rollback()?)
}

fn copy_onto_itself(file: &File) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    loop {
        match file.read_at(&mut buffer, at) {
            Ok(0) => return Ok(()),
            Ok(length) => {
                file.write_all_at(&buffer[..length], at)?;
                at += length as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

pub(super) fn wal_of(database: &Path) -> PathBuf {
    let mut wal = database.as_os_str().to_owned();
    wal.push("-wal");
    wal.into()
}
