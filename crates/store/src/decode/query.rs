//! Runs a query and decodes its rows.

use std::ops::ControlFlow;

use rusqlite::{Connection, Params, Row};

use super::from_row::{Columns, FromRow};
use crate::error::StoreError;

/// Decodes every row.
pub(crate) fn collect<T: FromRow>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<Vec<T>, StoreError> {
    let mut decoded = Vec::new();
    collect_into(&mut decoded, connection, sql, params)?;
    Ok(decoded)
}

/// Like [`collect`], but appends to `decoded`.
pub(crate) fn collect_into<T: FromRow>(
    decoded: &mut Vec<T>,
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<(), StoreError> {
    each(connection, sql, params, |row| {
        decoded.push(row);
        ControlFlow::Continue(())
    })
}

/// Like [`collect`], but converts rows that cannot be decoded with `unreadable`, and returns them separately.
pub(crate) fn collect_readable<T: FromRow, U>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    unreadable: impl Fn(&Row<'_>, StoreError) -> U,
) -> Result<(Vec<T>, Vec<U>), StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let columns = T::Columns::find(&statement)?;
    let mut rows = statement.query(params)?;
    let (mut decoded, mut others) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        match T::from_row(row, &columns) {
            Ok(value) => decoded.push(value),
            Err(error) => others.push(unreadable(row, error)),
        }
    }
    Ok((decoded, others))
}

/// Decodes the first row, if any.
pub(crate) fn first<T: FromRow>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<Option<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let columns = T::Columns::find(&statement)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(|row| T::from_row(row, &columns)).transpose()
}

/// True if the query has a row.
pub(crate) fn exists(connection: &Connection, sql: &str, params: impl Params) -> Result<bool, StoreError> {
    Ok(connection.prepare_cached(sql)?.exists(params)?)
}

/// Passes rows to `see`, one at a time, until it returns `Break`.
pub(crate) fn each<T: FromRow>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    mut see: impl FnMut(T) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let columns = T::Columns::find(&statement)?;
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        if see(T::from_row(row, &columns)?).is_break() {
            break;
        }
    }
    Ok(())
}
