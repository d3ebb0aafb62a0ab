//! Reads one column of a row as a type of the program.

use std::fmt::Display;
use std::str::FromStr;

use jiff::Timestamp;
use rusqlite::types::{FromSql, FromSqlError, ValueRef};
use rusqlite::{Error, Row};
use serde::de::DeserializeOwned;

use stepwell_base::artifact::Digest;
use stepwell_base::ids::{Fence, RunId, StepId, StepKey};
use stepwell_run::status::{RunStatus, StepStatus};

use super::json::Json;
use crate::error::StoreError;

/// A type that a column can hold.
pub(crate) trait FromColumn: Sized {
    fn from_column(value: ValueRef<'_>) -> Result<Self, Misfit>;
}

/// The reason why a column does not hold a value of a type.
pub(crate) enum Misfit {
    Type,
    Value(String),
}

impl Misfit {
    pub(super) fn value(error: impl Display) -> Misfit {
        Misfit::Value(error.to_string())
    }
}

impl From<FromSqlError> for Misfit {
    fn from(error: FromSqlError) -> Misfit {
        match error {
            FromSqlError::InvalidType => Misfit::Type,
            error => Misfit::value(error),
        }
    }
}

/// A column of a prepared query.
#[derive(Clone, Copy)]
pub(crate) struct Column {
    name: &'static str,
    index: usize,
}

impl Column {
    pub(crate) fn at(name: &'static str, index: usize) -> Column {
        Column { name, index }
    }

    pub(crate) fn get<T: FromColumn>(self, row: &Row<'_>) -> Result<T, StoreError> {
        let value = row.get_ref(self.index)?;
        T::from_column(value).map_err(|misfit| undecodable(self.name, self.index, value, misfit))
    }

    pub(crate) fn json<T: DeserializeOwned>(self, row: &Row<'_>) -> Result<T, StoreError> {
        self.get(row).map(|Json(value)| value)
    }

    pub(crate) fn maybe_json<T: DeserializeOwned>(self, row: &Row<'_>) -> Result<Option<T>, StoreError> {
        Ok(self.get::<Option<Json<T>>>(row)?.map(|Json(value)| value))
    }

    /// Borrows the text of the column.
    pub(crate) fn text<'r>(self, row: &'r Row<'_>) -> Result<&'r str, StoreError> {
        let value = row.get_ref(self.index)?;
        value.as_str().map_err(|error| undecodable(self.name, self.index, value, error.into()))
    }

    pub(crate) fn undecodable(self, why: impl Display) -> StoreError {
        StoreError::undecodable(format!("column `{}`: {why}", self.name))
    }
}

pub(super) fn undecodable(column: &str, index: usize, value: ValueRef<'_>, misfit: Misfit) -> StoreError {
    let why = match misfit {
        Misfit::Type => Error::InvalidColumnType(index, column.to_owned(), value.data_type()).to_string(),
        Misfit::Value(why) => why,
    };
    StoreError::undecodable(format!("column `{column}`: {why}"))
}

impl<T: FromColumn> FromColumn for Option<T> {
    fn from_column(value: ValueRef<'_>) -> Result<Option<T>, Misfit> {
        match value {
            ValueRef::Null => Ok(None),
            value => T::from_column(value).map(Some),
        }
    }
}

macro_rules! as_stored {
    ($($type:ty),+) => {
        $(impl FromColumn for $type {
            fn from_column(value: ValueRef<'_>) -> Result<$type, Misfit> {
                Ok(<$type>::column_result(value)?)
            }
        })+
    };
}

/// 64-bit unsigned numbers keep their bits in SQLite's signed integers.
macro_rules! unsigned {
    ($($type:ty),+) => {
        $(impl FromColumn for $type {
            fn from_column(value: ValueRef<'_>) -> Result<$type, Misfit> {
                let bits = value.as_i64()?.cast_unsigned();
                <$type>::try_from(bits).map_err(Misfit::value)
            }
        })+
    };
}

macro_rules! parsed {
    ($($type:ty),+) => {
        $(impl FromColumn for $type {
            fn from_column(value: ValueRef<'_>) -> Result<$type, Misfit> {
                value.as_str()?.parse().map_err(|error: <$type as FromStr>::Err| Misfit::value(error))
            }
        })+
    };
}

as_stored!(bool, i64, f64, String);
unsigned!(u32, u64, usize);
parsed!(Digest, RunId, RunStatus, StepStatus, Timestamp);

impl FromColumn for StepId {
    fn from_column(value: ValueRef<'_>) -> Result<StepId, Misfit> {
        String::from_column(value).map(StepId)
    }
}

impl FromColumn for StepKey {
    fn from_column(value: ValueRef<'_>) -> Result<StepKey, Misfit> {
        String::from_column(value).map(StepKey)
    }
}

impl FromColumn for Fence {
    fn from_column(value: ValueRef<'_>) -> Result<Fence, Misfit> {
        u64::from_column(value).map(Fence)
    }
}

/// A measured number. SQLite stores NaN as NULL.
pub(crate) struct NanAsNull(pub(crate) f64);

impl FromColumn for NanAsNull {
    fn from_column(value: ValueRef<'_>) -> Result<NanAsNull, Misfit> {
        Ok(NanAsNull(Option::from_column(value)?.unwrap_or(f64::NAN)))
    }
}
