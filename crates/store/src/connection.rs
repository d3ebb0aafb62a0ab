//! Opens the database. Every writing connection gets the settings that durability needs, and reads them back.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::backup::RESTORING;
use stepwell_base::faults::around;

use super::chain;
use super::error::StoreError;
use super::head::{self, Recorded};
use super::layout::DATABASE_FILE;
use super::lock::EngineLock;
use super::{migrate, seal, wal};

pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
pub(super) const PAUSE: Duration = Duration::from_millis(5);
const STATEMENTS: usize = 64;

/// Settings of a writing connection and the values read back. WAL with `synchronous = FULL` (2): a commit returns after
/// its fsync. Automatic checkpoints are off because SQLite ignores a failed one; we run our own. `fullfsync` is for
/// macOS.
const SETTINGS: [(&str, &str); 7] = [
    ("journal_mode", "wal"),
    ("synchronous", "2"),
    ("foreign_keys", "1"),
    ("wal_autocheckpoint", "0"),
    ("fullfsync", "1"),
    ("checkpoint_fullfsync", "1"),
    ("journal_size_limit", "67108864"),
];

/// Opens for reading and writing; creates or migrates the database. Refuses a database that lost events.
pub(super) fn read_write(state_dir: &Path) -> Result<Connection, StoreError> {
    create_dir(state_dir)?;
    let path = state_dir.join(DATABASE_FILE);
    set_up(state_dir, &path).map_err(|error| error.at(&path))
}

/// Opens an existing database for reading only. An older schema is migrated first through a writing connection.
pub(super) fn read_only(state_dir: &Path) -> Result<Connection, StoreError> {
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
    super::statements::watch(&mut connection)?;
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
        let _right = right_to_migrate(state_dir, path, &connection)?;
        // Keeps other processes from creating or migrating at the same time.
        let folder = File::open(state_dir).map_err(|error| StoreError::io("open", state_dir, error))?;
        folder.lock().map_err(|error| StoreError::io("lock", state_dir, error))?;
        around!("store.set_up", apply_settings(&connection, path))?;
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
fn right_to_migrate(state_dir: &Path, path: &Path, connection: &Connection) -> Result<Option<EngineLock>, StoreError> {
    let patience = Instant::now() + BUSY_TIMEOUT;
    loop {
        let found = migrate::version(connection, path)?;
        if found == 0 || found == migrate::SUPPORTED || EngineLock::is_held_here(state_dir) {
            return Ok(None);
        }
        match EngineLock::acquire(state_dir) {
            Ok(lock) => return Ok(Some(lock)),
            // A process of this build is about to migrate the database.
            Err(StoreError::Locked { holder, .. })
                if holder.schema == migrate::SUPPORTED && Instant::now() < patience => {}
            Err(StoreError::Locked { holder, .. }) => {
                let (path, supported) = (path.to_owned(), migrate::SUPPORTED);
                return Err(StoreError::OlderSchema { path, found, supported, holder });
            }
            Err(error) => return Err(error),
        }
    }
}

/// Fails unless the database contains the event recorded in `event-head`, with the same hash.
pub(super) fn check_head(connection: &Connection, path: &Path, recorded: &Recorded) -> Result<(), StoreError> {
    let lost = |seq, found: String| Err(StoreError::LostEvents { path: path.to_owned(), seq, found });
    let head = match recorded {
        Recorded::Nothing => return Ok(()),
        Recorded::Unreadable => {
            let head = path.with_file_name(super::layout::HEAD_FILE);
            let text = fs::read_to_string(head).unwrap_or_default();
            if text == RESTORING {
                return Err(StoreError::UnfinishedRestore { path: path.to_owned() });
            }
            let what = "it does not hold the number and hash of an event".to_owned();
            return Err(StoreError::Damaged { path: path.with_file_name(super::layout::HEAD_FILE), what });
        }
        Recorded::Head(head) => head,
    };
    match chain::hash_at(connection, head.seq)? {
        Some(hash) if hash == head.hash => check_quiet(connection, path, head.quiet),
        Some(_) => lost(head.seq, "the database has another event in its place".to_owned()),
        None => lost(head.seq, format!("the database ends with event {}", chain::head(connection)?.seq)),
    }
}

/// Fails if commits without an event, such as metrics, are missing.
fn check_quiet(connection: &Connection, path: &Path, recorded: i64) -> Result<(), StoreError> {
    let found = chain::head(connection)?.quiet;
    if found < recorded {
        return Err(StoreError::LostCommits { path: path.to_owned(), lost: recorded - found });
    }
    Ok(())
}

fn apply_settings(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    for (name, value) in SETTINGS {
        connection.pragma_update(None, name, value)?;
        let found: rusqlite::types::Value = connection.pragma_query_value(None, name, |row| row.get(0))?;
        let found = match found {
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other => format!("{other:?}"),
        };
        if found != value {
            let what = format!("setting `{name}` is {found}, not {value}");
            return Err(StoreError::Pragma { path: path.to_owned(), what });
        }
    }
    Ok(())
}

/// Creates a folder and its parents, and makes each of them durable.
pub(super) fn create_dir(dir: &Path) -> Result<(), StoreError> {
    if dir.as_os_str().is_empty() || dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_dir(parent)?;
    let create = || match fs::create_dir(dir) {
        Err(error) if !dir.is_dir() => Err(error),
        _ => File::open(parent)?.sync_all(),
    };
    around!("store.folder.create", create()).map_err(|error| StoreError::io("create the folder", dir, error))
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
