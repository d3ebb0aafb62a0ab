//! What no event tells: small tables under one digest, and a count of the commits without an event, which
//! `event-head` repeats outside of the database. (Metrics, which are many, have a digest each.)

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, params};

use super::error::StoreError;

/// The tables under the seal, which itself is a row of `meta`.
const TABLES: [&str; 4] = ["environment", "meta", "request", "schedule"];
const SEAL: &str = "seal";

/// Notices changes of the sealed tables, whoever in this process makes them.
pub(super) struct Watch(Arc<AtomicBool>);

impl Watch {
    pub(super) fn over(connection: &mut Connection) -> Result<Watch, StoreError> {
        let changed = Arc::new(AtomicBool::new(false));
        let noticed = changed.clone();
        connection.update_hook(Some(move |_, _: &str, table: &str, _| {
            if TABLES.contains(&table) {
                noticed.store(true, Ordering::Relaxed);
            }
        }))?;
        Ok(Watch(changed))
    }

    /// Seals the tables anew when this transaction has changed them. `quiet`: it has no event.
    pub(super) fn seal(&self, transaction: &Connection, quiet: bool) -> Result<(), StoreError> {
        if quiet {
            let sql = "UPDATE meta SET value = value + 1 WHERE key = 'quiet_commits'";
            transaction.prepare_cached(sql)?.execute([])?;
        }
        if self.0.load(Ordering::Relaxed) {
            let sql =
                "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
            transaction.prepare_cached(sql)?.execute(params![SEAL, digest(transaction)?])?;
        }
        Ok(())
    }

    /// At the start of a transaction.
    pub(super) fn reset(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Commits without an event; 0 before schema 3.
pub(super) fn quiet_commits(connection: &Connection) -> Result<i64, StoreError> {
    let has_meta: Option<i64> = connection
        .prepare_cached("SELECT value FROM meta WHERE key = 'quiet_commits'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(has_meta.unwrap_or(0))
}

/// Whether the tables are as they were sealed; a database that no build with a seal has written to has none.
pub(super) fn is_intact(connection: &Connection) -> Result<bool, StoreError> {
    let sql = "SELECT value FROM meta WHERE key = ?1";
    let sealed: Option<String> = connection.query_row(sql, [SEAL], |row| row.get(0)).optional()?;
    match sealed {
        Some(sealed) => Ok(sealed == digest(connection)?),
        None => Ok(quiet_commits(connection)? == 0),
    }
}

/// BLAKE3 of every value of every row but the seal itself, with its type and length.
fn digest(connection: &Connection) -> Result<String, StoreError> {
    let mut hasher = blake3::Hasher::new();
    for table in TABLES {
        let mut statement = connection.prepare_cached(&format!("SELECT * FROM {table} ORDER BY 1"))?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if table == "meta" && row.get_ref(0)?.as_str().ok() == Some(SEAL) {
                continue;
            }
            hasher.update(table.as_bytes());
            for column in 0..columns {
                let (kind, bytes) = match row.get_ref(column)? {
                    ValueRef::Null => (b'n', Vec::new()),
                    ValueRef::Integer(number) => (b'i', number.to_le_bytes().to_vec()),
                    ValueRef::Real(number) => (b'r', number.to_le_bytes().to_vec()),
                    ValueRef::Text(text) => (b't', text.to_vec()),
                    ValueRef::Blob(bytes) => (b'b', bytes.to_vec()),
                };
                hasher.update(&[kind]);
                hasher.update(&(bytes.len() as u64).to_le_bytes());
                hasher.update(&bytes);
            }
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}
