//! Compares a table of two databases, row by row.

use std::cmp::Ordering;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Row, Statement};

use crate::decode::collect;
use crate::error::StoreError;

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
const MAX_DIFFERENCES: usize = 10;

/// Columns and query for comparing a table in primary-key order.
struct Columns {
    names: Vec<String>,
    keys: Vec<usize>,
    sql: String,
}

impl Columns {
    fn of(connection: &Connection, table: &str) -> Result<Columns, StoreError> {
        let sql = "SELECT name, pk FROM pragma_table_info(?1) ORDER BY cid";
        let all: Vec<(String, i64)> = collect(connection, sql, [table])?;
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

pub(super) fn table_differences(
    live: &Connection,
    scratch: &Connection,
    table: &str,
) -> Result<Vec<String>, StoreError> {
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
        if found.len() > MAX_DIFFERENCES {
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
