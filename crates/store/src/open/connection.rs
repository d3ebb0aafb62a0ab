//! Opens the database. Every writing connection gets the settings that durability needs, and reads them back.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Instant;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use stepwell_base::faults::around;

use super::lock::EngineLock;
use super::settings::{self, BUSY_TIMEOUT, STATEMENTS};
use super::{migrate, wal};
use crate::error::StoreError;
use crate::files::create_dir;
use crate::integrity::head::{self, Recorded};
use crate::integrity::losses::check_head;
use crate::integrity::seal;
use crate::layout::DATABASE_FILE;

/// Opens for reading and writing; creates or migrates the database. Refuses a database that lost events.
pub(crate) fn read_write(state_dir: &Path) -> Result<Connection, StoreError> {
    create_dir(state_dir)?;
    let path = state_dir.join(DATABASE_FILE);
    set_up(state_dir, &path).map_err(|error| error.at(&path))
}

/// Opens an existing database for reading only. An older schema is migrated first through a writing connection.
pub(crate) fn read_only(state_dir: &Path) -> Result<Connection, StoreError> {
    let path = state_dir.join(DATABASE_FILE);
    if !path.exists() {
        return Err(StoreError::NoState { path: state_dir.to_owned() });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let open = |uri: &str| -> Result<(Connection, u32), StoreError> {
        let connection = Connection::open_with_flags(uri, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let version = migrate::version(&connection, &path)?;
        Ok((connection, version))
    };
    let uri = format!("file:{}", escape(&path));
    let opened = match open(&uri) {
        // Without a WAL, a database in a folder that we cannot write to cannot change either.
        Err(StoreError::Sqlite(error)) if lacks_permission(&error) && wal_is_empty(&path) => {
            open(&format!("{uri}?immutable=1"))
        }
        other => other,
    };
    let (connection, version) = opened.map_err(|error| error.at(&path))?;
    match version {
        // Another process has just created the file and has not filled it yet.
        0 => Err(StoreError::NoState { path: state_dir.to_owned() }),
        migrate::SUPPORTED => Ok(connection),
        _ => {
            // Only a writing connection can migrate.
            drop(connection);
            drop(read_write(state_dir)?);
            Ok(open(&uri).map_err(|error| error.at(&path))?.0)
        }
    }
}

fn set_up(state_dir: &Path, path: &Path) -> Result<Connection, StoreError> {
    let recorded = head::read(state_dir)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    #[cfg(debug_assertions)]
    crate::statements::watch(&mut connection)?;
    // A refused connection must leave a damaged WAL unchanged, so that its content can still be recovered.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let found = migrate::version(&connection, path)?;
    match (found, &recorded) {
        (0, Recorded::Head(head)) if head.seq > 0 => {
            let found = "and the database is new".to_owned();
            return Err(StoreError::LostEvents { path: path.to_owned(), seq: head.seq, found });
        }
        (0, _) => {}
        _ => check_head(&connection, path, &recorded)?,
    }
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    {
        // Lock order: engine lock before folder lock, as an engine does at start.
        let _lock = lock_for_migration(state_dir, path, &connection)?;
        // Keeps other processes from creating or migrating at the same time.
        let folder = File::open(state_dir).map_err(|error| StoreError::io("open", state_dir, error))?;
        folder.lock().map_err(|error| StoreError::io("lock", state_dir, error))?;
        around!("store.set_up", settings::apply(&connection, path))?;
        let found = migrate::version(&connection, path)?;
        if found < migrate::SUPPORTED {
            migrate::migrate(&mut connection, path, found)?;
        }
        seal::renew(&mut connection)?;
        if !another_engine_runs(state_dir) {
            wal::secure(&connection, path)?;
        }
    }
    Ok(connection)
}

/// True if an engine runs in another process; it emptied the WAL when it started.
fn another_engine_runs(state_dir: &Path) -> bool {
    !EngineLock::is_held_here(state_dir) && EngineLock::holder(state_dir).is_some()
}

/// Takes the engine lock if the schema is older and this process does not hold the lock. A running engine of an older
/// build would write rows without the data that the new schema counts.
///
/// # Errors
/// `OlderSchema` when such an engine holds the lock.
fn lock_for_migration(
    state_dir: &Path,
    path: &Path,
    connection: &Connection,
) -> Result<Option<EngineLock>, StoreError> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        let found = migrate::version(connection, path)?;
        if found == 0 || found == migrate::SUPPORTED || EngineLock::is_held_here(state_dir) {
            return Ok(None);
        }
        match EngineLock::acquire(state_dir) {
            Ok(lock) => return Ok(Some(lock)),
            // A process of this build is about to migrate the database.
            Err(StoreError::Locked { holder, .. })
                if holder.schema == migrate::SUPPORTED && Instant::now() < deadline => {}
            Err(StoreError::Locked { holder, .. }) => {
                let (path, supported) = (path.to_owned(), migrate::SUPPORTED);
                return Err(StoreError::OlderSchema { path, found, supported, holder });
            }
            Err(error) => return Err(error),
        }
    }
}

fn lacks_permission(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
}

fn wal_is_empty(path: &Path) -> bool {
    fs::metadata(wal::wal_of(path)).map_or(true, |found| found.len() == 0)
}

/// Encodes a path for an SQLite URI, in which `%` and two hexadecimal digits stand for any byte.
fn escape(path: &Path) -> String {
    let escaped = |&byte: &u8| match byte {
        b'/' | b'.' | b'-' | b'_' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02x}"),
    };
    path.as_os_str().as_bytes().iter().map(escaped).collect()
}
