//! Runs a query and decodes its rows.

use std::ops::ControlFlow;

use rusqlite::{Connection, Params, Row, Statement};

use super::from_row::{Columns, FromRow};
use crate::error::StoreError;

/// A query, and whether it lists the columns of its type in their order.
#[derive(Clone, Copy)]
pub(crate) struct Query<'q> {
    sql: &'q str,
    is_listed: bool,
}

impl Query<'_> {
    fn columns<C: Columns>(self, statement: &Statement<'_>) -> Result<C, StoreError> {
        if !self.is_listed {
            return C::find(statement);
        }
        debug_assert!(statement.column_names().eq(C::NAMES.iter().copied()));
        Ok(C::listed())
    }
}

impl<'q> From<&'q str> for Query<'q> {
    fn from(sql: &'q str) -> Query<'q> {
        Query { sql, is_listed: false }
    }
}

impl<'q> From<&'q String> for Query<'q> {
    fn from(sql: &'q String) -> Query<'q> {
        Query { sql, is_listed: false }
    }
}

/// A query for all columns of a type. To find 40 columns by name costs as much as to decode a row.
pub(crate) struct Listed(String);

impl Listed {
    /// Selects the columns of `C`; `rest` starts with `FROM`.
    pub(crate) fn select<C: Columns>(rest: &str) -> Listed {
        Listed(format!("SELECT {} {rest}", C::NAMES.join(", ")))
    }
}

impl<'q> From<&'q Listed> for Query<'q> {
    fn from(Listed(sql): &'q Listed) -> Query<'q> {
        Query { sql, is_listed: true }
    }
}

/// Decodes every row.
pub(crate) fn collect<'q, T: FromRow>(
    connection: &Connection,
    sql: impl Into<Query<'q>>,
    params: impl Params,
) -> Result<Vec<T>, StoreError> {
    let mut decoded = Vec::new();
    collect_into(&mut decoded, connection, sql, params)?;
    Ok(decoded)
}

/// Like [`collect`], but appends to `decoded`.
pub(crate) fn collect_into<'q, T: FromRow>(
    decoded: &mut Vec<T>,
    connection: &Connection,
    sql: impl Into<Query<'q>>,
    params: impl Params,
) -> Result<(), StoreError> {
    each(connection, sql, params, |row| {
        decoded.push(row);
        ControlFlow::Continue(())
    })
}

/// Like [`collect`], but converts rows that cannot be decoded with `unreadable`, and returns them separately.
pub(crate) fn collect_readable<'q, T: FromRow, U>(
    connection: &Connection,
    sql: impl Into<Query<'q>>,
    params: impl Params,
    unreadable: impl Fn(&Row<'_>, StoreError) -> U,
) -> Result<(Vec<T>, Vec<U>), StoreError> {
    let query: Query<'_> = sql.into();
    let mut statement = connection.prepare_cached(query.sql)?;
    let columns = query.columns::<T::Columns>(&statement)?;
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
pub(crate) fn first<'q, T: FromRow>(
    connection: &Connection,
    sql: impl Into<Query<'q>>,
    params: impl Params,
) -> Result<Option<T>, StoreError> {
    let query: Query<'_> = sql.into();
    let mut statement = connection.prepare_cached(query.sql)?;
    let columns = query.columns::<T::Columns>(&statement)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(|row| T::from_row(row, &columns)).transpose()
}

/// True if the query has a row.
pub(crate) fn exists(connection: &Connection, sql: &str, params: impl Params) -> Result<bool, StoreError> {
    Ok(connection.prepare_cached(sql)?.exists(params)?)
}

/// Passes rows to `see`, one at a time, until it returns `Break`.
pub(crate) fn each<'q, T: FromRow>(
    connection: &Connection,
    sql: impl Into<Query<'q>>,
    params: impl Params,
    mut see: impl FnMut(T) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let query: Query<'_> = sql.into();
    let mut statement = connection.prepare_cached(query.sql)?;
    let columns = query.columns::<T::Columns>(&statement)?;
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        if see(T::from_row(row, &columns)?).is_break() {
            break;
        }
    }
    Ok(())
}
