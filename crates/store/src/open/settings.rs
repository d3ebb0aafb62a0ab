//! Settings that durability needs.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::types::Value;

use crate::error::StoreError;

pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
pub(crate) const PAUSE: Duration = Duration::from_millis(5);
/// Prepared statements that a connection keeps.
pub(super) const STATEMENTS: usize = 64;

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

/// Applies the settings and reads them back.
pub(super) fn apply(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    for (name, value) in SETTINGS {
        connection.pragma_update(None, name, value)?;
        let found: Value = connection.pragma_query_value(None, name, |row| row.get(0))?;
        let found = match found {
            Value::Integer(number) => number.to_string(),
            Value::Text(text) => text,
            other => format!("{other:?}"),
        };
        if found != value {
            let what = format!("setting `{name}` is {found}, not {value}");
            return Err(StoreError::Pragma { path: path.to_owned(), what });
        }
    }
    Ok(())
}
