//! Protects data that no event records: small tables under one sum, and a count of commits without an event, which
//! `event-head` repeats outside the database. (Metrics are numerous, so each row has its own digest.)
//!
//! The seal is the sum of the digests of all rows. A change subtracts the old rows and adds the new ones, so its cost
//! does not depend on the number of rows, and earlier damage stays visible.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Params, Row, ToSql, TransactionBehavior, params};

use stepwell_base::faults::around;

use crate::error::StoreError;

/// Tables under the seal. The seal itself is a row of `meta`.
const TABLES: [&str; 13] = [
    "annotation",
    "batch",
    "environment",
    "event_cursor",
    "file",
    "machine",
    "machine_event",
    "meta",
    "notification",
    "request",
    "schedule",
    "token",
    "webhook_message",
];
/// Tables under the seal of schema 4 and older.
const OLD_TABLES: [&str; 4] = ["environment", "meta", "request", "schedule"];
const SEAL: &str = "seal";
/// Prefix of a sum. Schema 4 and older store one digest over all rows instead.
const SUM: &str = "rows:";
/// Marks tables that were already damaged when this build first saw them.
const DAMAGED: &str = "damaged";

/// Selects the rows of a sealed table whose `column` equals `key`.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'k> {
    pub(crate) table: &'static str,
    pub(crate) column: &'static str,
    pub(crate) key: &'k dyn ToSql,
}

pub(crate) fn meta<'k>(key: &'k &'static str) -> Rows<'k> {
    Rows { table: "meta", column: "key", key }
}

/// Runs a statement that touches no sealed rows except `rows`, and updates the seal. Returns the number of changed
/// rows.
pub(crate) fn change(
    connection: &Connection,
    rows: Rows<'_>,
    sql: &str,
    values: impl Params,
) -> Result<usize, StoreError> {
    let before = sum_of(connection, rows)?;
    let changed = connection.prepare_cached(sql)?.execute(values)?;
    let after = sum_of(connection, rows)?;
    add_to_seal(connection, after.wrapping_sub(before))?;
    Ok(changed)
}

/// Runs a statement that inserts at most one row into a sealed table; returns the row's number.
pub(crate) fn insert(
    connection: &Connection,
    table: &'static str,
    sql: &str,
    values: impl Params,
) -> Result<Option<i64>, StoreError> {
    if connection.prepare_cached(sql)?.execute(values)? == 0 {
        return Ok(None);
    }
    let row = connection.last_insert_rowid();
    add_to_seal(connection, sum_of(connection, Rows { table, column: "rowid", key: &row })?)?;
    Ok(Some(row))
}

pub(crate) fn count_quiet_commit(connection: &Connection) -> Result<(), StoreError> {
    let sql = "UPDATE meta SET value = value + 1 WHERE key = 'quiet_commits'";
    change(connection, meta(&"quiet_commits"), sql, [])?;
    Ok(())
}

/// Number of commits without an event; 0 before schema 3.
pub(crate) fn quiet_commits(connection: &Connection) -> Result<i64, StoreError> {
    let has_meta: Option<i64> = connection
        .prepare_cached("SELECT value FROM meta WHERE key = 'quiet_commits'")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(has_meta.unwrap_or(0))
}

/// True if the tables match the seal. A new database has no seal until it is opened for writing.
pub(crate) fn is_intact(connection: &Connection) -> Result<bool, StoreError> {
    match seal(connection)? {
        Some(seal) if seal == DAMAGED => Ok(false),
        Some(seal) => match seal.strip_prefix(SUM) {
            Some(_) => Ok(seal == shown(sum(connection)?)),
            None => Ok(seal == whole_digest(connection)?),
        },
        None => Ok(quiet_commits(connection)? == 0),
    }
}

/// Seals a database that is new or has the seal of an older build.
pub(crate) fn renew(connection: &mut Connection) -> Result<(), StoreError> {
    let is_new = |seal: &Option<String>| seal.as_ref().is_some_and(|seal| seal.starts_with(SUM) || seal == DAMAGED);
    if is_new(&seal(connection)?) {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if is_new(&seal(&transaction)?) {
        return Ok(());
    }
    let value = if is_intact(&transaction)? { shown(sum(&transaction)?) } else { DAMAGED.to_owned() };
    let sql = "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    transaction.execute(sql, params![SEAL, value])?;
    around!("store.seal.renew", transaction.commit().map_err(StoreError::from))
}

fn seal(connection: &Connection) -> Result<Option<String>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
    Ok(statement.query_row([SEAL], |row| row.get(0)).optional()?)
}

fn shown(sum: u128) -> String {
    format!("{SUM}{sum:032x}")
}

/// Adds `difference` to the seal. Does nothing if the database has no seal or is marked as damaged.
fn add_to_seal(connection: &Connection, difference: u128) -> Result<(), StoreError> {
    let seal = seal(connection)?;
    let sum = seal.as_deref().and_then(|seal| u128::from_str_radix(seal.strip_prefix(SUM)?, 16).ok());
    if let Some(sum) = sum.filter(|_| difference != 0) {
        let sql = "UPDATE meta SET value = ?2 WHERE key = ?1";
        connection.prepare_cached(sql)?.execute(params![SEAL, shown(sum.wrapping_add(difference))])?;
    }
    Ok(())
}

/// Sum over all rows of all sealed tables. A table that an older schema lacks has no rows.
fn sum(connection: &Connection) -> Result<u128, StoreError> {
    let mut total = 0u128;
    for table in TABLES {
        let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1";
        if !connection.prepare_cached(sql)?.exists([table])? {
            continue;
        }
        total = total.wrapping_add(sum_of_query(connection, table, &format!("SELECT * FROM {table}"), [])?);
    }
    Ok(total)
}

fn sum_of(connection: &Connection, Rows { table, column, key }: Rows<'_>) -> Result<u128, StoreError> {
    sum_of_query(connection, table, &format!("SELECT * FROM {table} WHERE {column} = ?1"), [key])
}

fn sum_of_query(connection: &Connection, table: &str, sql: &str, values: impl Params) -> Result<u128, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    let mut total = 0u128;
    while let Some(row) = rows.next()? {
        let mut hasher = blake3::Hasher::new();
        if hash_row(&mut hasher, table, row)? {
            let mut half = [0; 16];
            half.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
            total = total.wrapping_add(u128::from_le_bytes(half));
        }
    }
    Ok(total)
}

/// The seal of schema 4 and older: BLAKE3 over all rows.
fn whole_digest(connection: &Connection) -> Result<String, StoreError> {
    let mut hasher = blake3::Hasher::new();
    for table in OLD_TABLES {
        let mut statement = connection.prepare_cached(&format!("SELECT * FROM {table} ORDER BY 1"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            hash_row(&mut hasher, table, row)?;
        }
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Hashes every value of a row with its type and length. Returns false for the row of the seal itself, which does not
/// count.
fn hash_row(hasher: &mut blake3::Hasher, table: &str, row: &Row<'_>) -> Result<bool, StoreError> {
    if table == "meta" && row.get_ref(0)?.as_str().ok() == Some(SEAL) {
        return Ok(false);
    }
    hasher.update(table.as_bytes());
    for column in 0..row.as_ref().column_count() {
        let number;
        let (kind, bytes): (u8, &[u8]) = match row.get_ref(column)? {
            ValueRef::Null => (b'n', &[]),
            ValueRef::Integer(value) => {
                number = value.to_le_bytes();
                (b'i', &number)
            }
            ValueRef::Real(value) => {
                number = value.to_le_bytes();
                (b'r', &number)
            }
            ValueRef::Text(text) => (b't', text),
            ValueRef::Blob(bytes) => (b'b', bytes),
        };
        hasher.update(&[kind]);
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    }
    Ok(true)
}
