//! Rebuilds the tables from the log alone, with the code that wrote them originally; any difference means that
//! something else changed them. `replay` recomputes the most important columns with separate code, so that a fault of
//! the projection itself is found too.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::backup::Backup;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Row, Statement};

use stepwell_run::event::{Event, Recorded};

use super::decode;
use super::error::StoreError;
use super::head::Head;
use super::submit::{self, Pinned};
use super::tally::Tally;
use super::{migrate, prune, writer};

/// Tables that no event writes; each has its own protection.
const NOT_LOGGED: [&str; 6] = ["meta", "request", "schedule", "environment", "metric", "refinery_schema_history"];
/// Columns that are not compared. Heartbeats move the end of a lease and the progress, which matter only while the
/// attempt runs. The hash of an event covers its payload, and a newer build may serialise it differently. The
/// environment of an attempt is a digest, which the foreign keys check.
const NOT_COMPARED: [(&str, &str); 9] = [
    ("step", "lease_expires_at"),
    ("step", "progress_done"),
    ("step", "progress_total"),
    ("step", "progress_at"),
    ("step", "progress_first"),
    ("step", "progress_first_at"),
    ("event", "payload"),
    ("event", "hash"),
    ("attempt", "environment"),
];
/// Columns that may exceed the rebuilt value. Work counts up to the end of the lease, which heartbeats extend beyond
/// what the log says. `check` bounds it by the duration of the attempt, and compares the sums with the attempts.
const AT_LEAST: [(&str, &str); 3] = [("attempt", "compute_ms"), ("step", "compute_ms"), ("step", "children_timed_ms")];
/// Differences reported per table before the rest is cut off.
const TOLD: usize = 10;

/// Lists the differences between the tables and an intact log.
///
/// # Errors
/// Any error that prevents reading the database at all.
pub(super) fn differences(live: &Connection) -> Result<Vec<String>, StoreError> {
    // Private to this connection; SQLite moves it to disk when it grows.
    let mut scratch = Connection::open("")?;
    create_tables(&mut scratch)?;
    scratch.pragma_update(None, "foreign_keys", false)?;
    let mut found = schema_differences(live, &scratch)?;
    if let Some(impossible) = replay(live, &mut scratch)? {
        found.push(impossible);
    } else {
        for table in tables(&scratch)? {
            found.extend(table_differences(live, &scratch, &table)?);
        }
    }
    Ok(found)
}

/// Creates the tables of the newest schema. The migrations run once per process, because tests check thousands of
/// databases.
fn create_tables(scratch: &mut Connection) -> Result<(), StoreError> {
    static EMPTY: Mutex<Option<Connection>> = Mutex::new(None);
    let mut kept = EMPTY.lock().unwrap_or_else(PoisonError::into_inner);
    let empty = match kept.take() {
        Some(empty) => empty,
        None => {
            let mut empty = Connection::open_in_memory()?;
            migrate::create(&mut empty)?;
            empty
        }
    };
    Backup::new(&empty, scratch)?.run_to_completion(i32::MAX, Duration::ZERO, None)?;
    *kept = Some(empty);
    Ok(())
}

/// Applies the whole log; returns a description of the first event that cannot be applied, if any.
fn replay(live: &Connection, scratch: &mut Connection) -> Result<Option<String>, StoreError> {
    let transaction = scratch.transaction()?;
    let mut head = Head::genesis();
    let mut tally = Tally::default();
    let mut pruned = false;
    let mut statement = live.prepare("SELECT * FROM event ORDER BY seq")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let event = decode::event(row)?;
        let recorded = Recorded { run: event.run, at: event.at, event: event.event };
        // A batch of prunes deletes unused artifacts once at its end; no row refers to them before that.
        if std::mem::replace(&mut pruned, recorded.event == Event::RunPruned) && !pruned {
            prune::forget_unused_artifacts(&transaction)?;
        }
        let applied = match &recorded.event {
            Event::RunSubmitted { .. } => insert_run(live, &transaction, &mut head, &recorded).map(Some),
            _ => writer::project(&transaction, &mut head, &mut tally, &recorded).map(|applied| applied.map(drop)),
        };
        let problem = match applied {
            Ok(Some(())) => continue,
            Ok(None) => "its fence did not hold".to_owned(),
            Err(error) => error.to_string(),
        };
        let (seq, run) = (event.seq, recorded.run);
        return Ok(Some(format!("event log: event {seq} of run {run} cannot be applied again: {problem}")));
    }
    if pruned {
        prune::forget_unused_artifacts(&transaction)?;
    }
    tally.write(&transaction)?;
    // No failpoint: a scratch database.
    transaction.commit()?;
    Ok(None)
}

/// Only the run's row holds the workflow; its digest, which is in the log, was compared before.
fn insert_run(live: &Connection, scratch: &Connection, head: &mut Head, recorded: &Recorded) -> Result<(), StoreError> {
    let id = recorded.run.to_string();
    let pinned = decode::first(live, "SELECT * FROM run WHERE id = ?1", [&id], Pinned::read)?;
    let pinned = pinned.ok_or(StoreError::UnknownRun { text: id })?;
    submit::insert(scratch, head, recorded, &pinned)
}

/// Compares the schemas: a changed view or constraint would change the meaning of the tables.
fn schema_differences(live: &Connection, scratch: &Connection) -> Result<Vec<String>, StoreError> {
    let schema = |connection: &Connection| {
        let sql = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name";
        decode::collect(connection, sql, [], |row| {
            let part = |index| Ok::<_, StoreError>(row.get::<_, Option<String>>(index)?.unwrap_or_default());
            Ok((format!("{} `{}`", part(0)?, part(1)?), part(2)?, part(3)?))
        })
    };
    let (there, expected) = (schema(live)?, schema(scratch)?);
    let unexpected = there.iter().filter(|entry| !expected.contains(entry));
    let missing = expected.iter().filter(|entry| !there.contains(entry));
    let names: BTreeSet<&str> = unexpected.chain(missing).map(|entry| entry.0.as_str()).collect();
    Ok(names.into_iter().map(|name| format!("schema: {name} is not what this build creates")).collect())
}

fn tables(scratch: &Connection) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    let all: Vec<String> = decode::collect(scratch, sql, [], |row| Ok(row.get(0)?))?;
    Ok(all.into_iter().filter(|name| !NOT_LOGGED.contains(&name.as_str())).collect())
}

/// Columns and query for comparing a table in primary-key order.
struct Columns {
    names: Vec<String>,
    keys: Vec<usize>,
    sql: String,
}

impl Columns {
    fn of(connection: &Connection, table: &str) -> Result<Columns, StoreError> {
        let sql = "SELECT name, pk FROM pragma_table_info(?1) ORDER BY cid";
        let all: Vec<(String, i64)> = decode::collect(connection, sql, [table], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut keys: Vec<usize> = (0..all.len()).filter(|&index| all[index].1 > 0).collect();
        keys.sort_by_key(|&index| all[index].1);
        let names: Vec<String> = all.into_iter().map(|(name, _)| name).collect();
        let order: Vec<&str> = keys.iter().map(|&index| names[index].as_str()).collect();
        let sql = format!("SELECT {} FROM {table} ORDER BY {}", names.join(", "), order.join(", "));
        Ok(Columns { names, keys, sql })
    }

    fn key(&self, row: &[Value]) -> String {
        self.keys.iter().map(|&index| shown(&row[index])).collect::<Vec<_>>().join(", ")
    }
}

fn table_differences(live: &Connection, scratch: &Connection, table: &str) -> Result<Vec<String>, StoreError> {
    let columns = Columns::of(scratch, table)?;
    let mut found = Vec::new();
    let (mut there, mut expected) = (live.prepare(&columns.sql)?, scratch.prepare(&columns.sql)?);
    let (mut there, mut expected) = (Cursor::of(&mut there)?, Cursor::of(&mut expected)?);
    loop {
        let order = match (&there.row, &expected.row) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(row), Some(other)) => compare_keys(&columns, row, other),
        };
        match (order, &there.row, &expected.row) {
            (Ordering::Less, Some(row), _) => {
                found.push(format!("table `{table}`: no event made row {}", columns.key(row)));
                there.advance()?;
            }
            (Ordering::Greater, _, Some(row)) => {
                found.push(format!("table `{table}`: row {} is missing", columns.key(row)));
                expected.advance()?;
            }
            (_, Some(row), Some(other)) => {
                found.extend(row_differences(table, &columns, row, other));
                there.advance()?;
                expected.advance()?;
            }
            _ => break,
        }
        if found.len() > TOLD {
            found.push(format!("table `{table}`: more differences follow"));
            break;
        }
    }
    Ok(found)
}

fn row_differences(table: &str, columns: &Columns, row: &[Value], expected: &[Value]) -> Vec<String> {
    let skipped = |name: &str| NOT_COMPARED.iter().any(|(of, column)| *of == table && *column == name);
    let pairs = columns.names.iter().zip(row.iter().zip(expected));
    let enough = |name: &str, value: &Value, least: &Value| match (value, least) {
        (Value::Integer(value), Value::Integer(least)) => AT_LEAST.contains(&(table, name)) && value >= least,
        _ => false,
    };
    let different =
        pairs.filter(|(name, (value, other))| !same(value, other) && !skipped(name) && !enough(name, value, other));
    different
        .map(|(name, (value, other))| {
            let (key, value, other) = (columns.key(row), shown(value), shown(other));
            format!("table `{table}`: row {key}: `{name}` is {value}, the log says {other}")
        })
        .collect()
}

struct Cursor<'s> {
    rows: rusqlite::Rows<'s>,
    row: Option<Vec<Value>>,
}

impl<'s> Cursor<'s> {
    fn of(statement: &'s mut Statement<'_>) -> Result<Cursor<'s>, StoreError> {
        let mut cursor = Cursor { rows: statement.query([])?, row: None };
        cursor.advance()?;
        Ok(cursor)
    }

    fn advance(&mut self) -> Result<(), StoreError> {
        self.row = self.rows.next()?.map(values).transpose()?;
        Ok(())
    }
}

fn values(row: &Row<'_>) -> Result<Vec<Value>, StoreError> {
    let count = row.as_ref().column_count();
    let value = |index| {
        Ok(match row.get_ref(index)? {
            // Damaged text need not be UTF-8.
            ValueRef::Text(text) => match std::str::from_utf8(text) {
                Ok(text) => Value::Text(text.to_owned()),
                Err(_) => Value::Blob(text.to_vec()),
            },
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => Value::Integer(number),
            ValueRef::Real(number) => Value::Real(number),
            ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
        })
    };
    (0..count).map(value).collect()
}

/// Compares in SQLite's order for STRICT columns: numbers by value, text by bytes.
fn compare_keys(columns: &Columns, row: &[Value], other: &[Value]) -> Ordering {
    let pairs = columns.keys.iter().map(|&index| (&row[index], &other[index]));
    let mut orders = pairs.map(|pair| match pair {
        (Value::Integer(a), Value::Integer(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (a, b) => shown(a).cmp(&shown(b)),
    });
    orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

fn same(value: &Value, other: &Value) -> bool {
    match (value, other) {
        (Value::Real(a), Value::Real(b)) => a.to_bits() == b.to_bits(),
        _ => value == other,
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => format!("`{text}`"),
        Value::Blob(bytes) => format!("{} bytes", bytes.len()),
    }
}
