//! Reads one column of a row as a type of the program.

use jiff::Timestamp;
use rusqlite::Row;
use rusqlite::types::ValueRef;
use serde::de::DeserializeOwned;

use stepwell_base::artifact::Digest;
use stepwell_base::ids::{Fence, RunId, StepId, StepKey};
use stepwell_run::status::{RunStatus, StepStatus};

use super::json::Json;
use crate::error::StoreError;

/// A type that a column can hold.
pub(crate) trait FromColumn: Sized {
    /// # Errors
    /// The reason why the column holds no such value; the caller adds the column's name.
    fn from_column(row: &Row<'_>, index: usize) -> Result<Self, String>;
}

/// A column of a prepared query.
#[derive(Clone, Copy)]
pub(crate) struct Column {
    pub(super) name: &'static str,
    pub(super) index: usize,
}

impl Column {
    pub(crate) fn get<T: FromColumn>(self, row: &Row<'_>) -> Result<T, StoreError> {
        T::from_column(row, self.index).map_err(|why| self.undecodable(why))
    }

    pub(crate) fn json<T: DeserializeOwned>(self, row: &Row<'_>) -> Result<T, StoreError> {
        self.get(row).map(|Json(value)| value)
    }

    pub(crate) fn maybe_json<T: DeserializeOwned>(self, row: &Row<'_>) -> Result<Option<T>, StoreError> {
        Ok(self.get::<Option<Json<T>>>(row)?.map(|Json(value)| value))
    }

    /// Borrows the text of the column.
    pub(crate) fn text<'r>(self, row: &'r Row<'_>) -> Result<&'r str, StoreError> {
        text(row, self.index).map_err(|why| self.undecodable(why))
    }

    pub(crate) fn undecodable(self, why: impl std::fmt::Display) -> StoreError {
        undecodable(self.name, why)
    }
}

pub(super) fn undecodable(column: &str, why: impl std::fmt::Display) -> StoreError {
    StoreError::undecodable(format!("column `{column}`: {why}"))
}

pub(super) fn text<'r>(row: &'r Row<'_>, index: usize) -> Result<&'r str, String> {
    match row.get_ref(index).map(|value| value.as_str()) {
        Ok(Ok(text)) => Ok(text),
        // The error of `get` names the column and its type.
        _ => Err(row.get::<_, String>(index).err().map_or_else(String::new, |error| error.to_string())),
    }
}

impl<T: FromColumn> FromColumn for Option<T> {
    fn from_column(row: &Row<'_>, index: usize) -> Result<Option<T>, String> {
        match row.get_ref(index) {
            Ok(ValueRef::Null) => Ok(None),
            _ => T::from_column(row, index).map(Some),
        }
    }
}

macro_rules! as_stored {
    ($($type:ty),+) => {
        $(impl FromColumn for $type {
            fn from_column(row: &Row<'_>, index: usize) -> Result<$type, String> {
                row.get(index).map_err(|error| error.to_string())
            }
        })+
    };
}

/// 64-bit unsigned numbers keep their bits in SQLite's signed integers.
macro_rules! unsigned {
    ($($type:ty),+) => {
        $(impl FromColumn for $type {
            fn from_column(row: &Row<'_>, index: usize) -> Result<$type, String> {
                let bits = i64::from_column(row, index)?.cast_unsigned();
                <$type>::try_from(bits).map_err(|error| error.to_string())
            }
        })+
    };
}

macro_rules! parsed {
    ($($type:ty),+) => {
        $(impl FromColumn for $type {
            fn from_column(row: &Row<'_>, index: usize) -> Result<$type, String> {
                text(row, index)?.parse().map_err(|error: <$type as std::str::FromStr>::Err| error.to_string())
            }
        })+
    };
}

as_stored!(bool, i64, f64, String);
unsigned!(u32, u64, usize);
parsed!(Digest, RunId, RunStatus, StepStatus, Timestamp);

impl FromColumn for StepId {
    fn from_column(row: &Row<'_>, index: usize) -> Result<StepId, String> {
        String::from_column(row, index).map(StepId)
    }
}

impl FromColumn for StepKey {
    fn from_column(row: &Row<'_>, index: usize) -> Result<StepKey, String> {
        String::from_column(row, index).map(StepKey)
    }
}

impl FromColumn for Fence {
    fn from_column(row: &Row<'_>, index: usize) -> Result<Fence, String> {
        u64::from_column(row, index).map(Fence)
    }
}

/// A measured number. SQLite stores NaN as NULL.
pub(crate) struct NanAsNull(pub(crate) f64);

impl FromColumn for NanAsNull {
    fn from_column(row: &Row<'_>, index: usize) -> Result<NanAsNull, String> {
        Ok(NanAsNull(Option::from_column(row, index)?.unwrap_or(f64::NAN)))
    }
}
