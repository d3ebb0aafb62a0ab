//! Reads a row as a type of the program. Columns are found by name once per query, when it is prepared, because looking
//! up names in each of 100,000 rows would take longer than all other decoding.

use rusqlite::{Row, Statement};

use super::column::{Column, FromColumn, undecodable};
use crate::error::StoreError;

/// A type that a row decodes to.
pub(crate) trait FromRow: Sized {
    type Columns: Columns;

    /// # Errors
    /// `Undecodable` with the name of the column.
    fn from_row(row: &Row<'_>, columns: &Self::Columns) -> Result<Self, StoreError>;
}

/// Columns of a prepared query.
pub(crate) trait Columns: Sized {
    const NAMES: &'static [&'static str];

    /// # Errors
    /// `Sqlite` when the query lacks one of the columns.
    fn find(statement: &Statement<'_>) -> Result<Self, StoreError>;

    /// The columns of a query that lists exactly these, in this order.
    fn listed() -> Self;
}

/// Declares the columns that a type is decoded from, one field per column.
macro_rules! columns {
    ($(#[$doc:meta])* $visible:vis struct $name:ident { $($column:ident),+ $(,)? }) => {
        $(#[$doc])*
        $visible struct $name { $($column: $crate::decode::Column),+ }

        impl $crate::decode::Columns for $name {
            const NAMES: &'static [&'static str] = &[$(stringify!($column)),+];

            fn find(statement: &rusqlite::Statement<'_>) -> Result<$name, $crate::error::StoreError> {
                let mut find = $crate::decode::Find::in_query(statement);
                Ok($name { $($column: find.column(stringify!($column))?),+ })
            }

            fn listed() -> $name {
                let mut indexes = 0..;
                $(let $column = $crate::decode::Column::at(stringify!($column), indexes.next().unwrap_or(0));)+
                $name { $($column),+ }
            }
        }
    };
}
pub(crate) use columns;

/// Finds the columns of a query one after the other.
pub(crate) struct Find<'s> {
    statement: &'s Statement<'s>,
    next: usize,
}

impl<'s> Find<'s> {
    pub(crate) fn in_query(statement: &'s Statement<'s>) -> Find<'s> {
        Find { statement, next: 0 }
    }

    pub(crate) fn column(&mut self, name: &'static str) -> Result<Column, StoreError> {
        // Most queries list the columns in the order of their declaration.
        let index = match self.statement.column_name(self.next) {
            Ok(found) if found == name => self.next,
            _ => self.statement.column_index(name)?,
        };
        self.next = index + 1;
        Ok(Column::at(name, index))
    }
}

/// Columns of a query whose row is a tuple, by position.
pub(crate) struct Positions<const N: usize>;

impl<const N: usize> Columns for Positions<N> {
    const NAMES: &'static [&'static str] = &[];

    fn find(statement: &Statement<'_>) -> Result<Positions<N>, StoreError> {
        match statement.column_count() {
            found if found == N => Ok(Positions),
            found => Err(StoreError::undecodable(format!("{found} columns where {N} were expected"))),
        }
    }

    fn listed() -> Positions<N> {
        Positions
    }
}

fn at<T: FromColumn>(row: &Row<'_>, index: usize) -> Result<T, StoreError> {
    let value = row.get_ref(index)?;
    T::from_column(value)
        .map_err(|misfit| undecodable(row.as_ref().column_name(index).unwrap_or("?"), index, value, misfit))
}

impl<T: FromColumn> FromRow for T {
    type Columns = Positions<1>;

    fn from_row(row: &Row<'_>, _: &Positions<1>) -> Result<T, StoreError> {
        at(row, 0)
    }
}

macro_rules! tuple {
    ($count:literal: $($type:ident $index:literal),+) => {
        impl<$($type: FromColumn),+> FromRow for ($($type,)+) {
            type Columns = Positions<$count>;

            fn from_row(row: &Row<'_>, _: &Positions<$count>) -> Result<Self, StoreError> {
                Ok(($(at::<$type>(row, $index)?,)+))
            }
        }
    };
}

tuple!(2: A 0, B 1);
tuple!(3: A 0, B 1, C 2);
tuple!(4: A 0, B 1, C 2, D 3);
tuple!(5: A 0, B 1, C 2, D 3, E 4);
tuple!(7: A 0, B 1, C 2, D 3, E 4, F 5, G 6);

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::decode::{Json, collect, exists, first};

    #[derive(PartialEq, Debug)]
    struct Pair {
        name: String,
        numbers: Vec<u64>,
    }

    columns! {
        struct PairColumns { name, numbers }
    }

    impl FromRow for Pair {
        type Columns = PairColumns;

        fn from_row(row: &Row<'_>, columns: &PairColumns) -> Result<Pair, StoreError> {
            Ok(Pair { name: columns.name.get(row)?, numbers: columns.numbers.json(row)? })
        }
    }

    fn one(sql: &str) -> Result<Option<Pair>, StoreError> {
        first(&Connection::open_in_memory().unwrap(), sql, [])
    }

    #[test]
    fn columns_are_found_by_name_wherever_they_are() {
        let expected = Some(Pair { name: "a".to_owned(), numbers: vec![1, u64::MAX] });
        let numbers = format!("'[1, {}]' AS numbers", u64::MAX);
        assert_eq!(one(&format!("SELECT 'a' AS name, {numbers}")).unwrap(), expected);
        assert_eq!(one(&format!("SELECT 0 AS other, {numbers}, NULL AS more, 'a' AS name")).unwrap(), expected);
    }

    /// Also when it has no rows, so that any test of a query finds a wrong name.
    #[test]
    fn a_query_without_a_column_is_refused() {
        assert!(matches!(one("SELECT 'a' AS name WHERE 0"), Err(StoreError::Sqlite(_))));
        let connection = Connection::open_in_memory().unwrap();
        let refused: Result<Vec<(i64, i64)>, _> = collect(&connection, "SELECT 1 WHERE 0", []);
        assert!(matches!(refused, Err(StoreError::Undecodable { .. })));
    }

    #[test]
    fn an_error_names_the_column() {
        let error = one("SELECT 'a' AS name, '[1, -1]' AS numbers").unwrap_err().to_string();
        assert!(error.contains("column `numbers`: "), "{error}");
        let error = one("SELECT 7 AS name, '[]' AS numbers").unwrap_err().to_string();
        assert!(error.contains("column `name`: Invalid column type Integer"), "{error}");
        let connection = Connection::open_in_memory().unwrap();
        let error = first::<(i64, bool)>(&connection, "SELECT 1 AS a, 'x' AS b", []).unwrap_err().to_string();
        assert!(error.contains("column `b`: "), "{error}");
    }

    #[test]
    fn json_that_is_too_deep_is_not_written() {
        let mut deep = serde_json::Value::Null;
        for _ in 0..200 {
            deep = serde_json::Value::Array(vec![deep]);
        }
        let connection = Connection::open_in_memory().unwrap();
        let refused = exists(&connection, "SELECT ?1", [Json(deep)]);
        assert!(matches!(refused, Err(StoreError::Unstorable { .. })), "{refused:?}");
    }
}
