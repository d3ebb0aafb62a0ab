//! The one wrapper for columns that hold JSON.

use rusqlite::Error;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use serde::Serialize;
use serde::de::DeserializeOwned;

use stepwell_base::json::{self, Limit};

use super::column::{FromColumn, Misfit};
use crate::error::StoreError;

/// A value that a column holds as JSON. Writing refuses a value that reading could not accept.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: Serialize> Json<T> {
    /// Encodes the value.
    ///
    /// # Errors
    /// `Unstorable`.
    pub(crate) fn text(&self) -> Result<String, StoreError> {
        let unstorable = |why: String| StoreError::Unstorable { why };
        let text = serde_json::to_string(&self.0).map_err(|error| unstorable(error.to_string()))?;
        json::check(text.as_bytes(), Limit::STORED).map_err(|error| unstorable(error.to_string()))?;
        Ok(text)
    }
}

impl<T: Serialize> ToSql for Json<T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self.text() {
            Ok(text) => Ok(text.into()),
            Err(error) => Err(Error::ToSqlConversionFailure(Box::new(error))),
        }
    }
}

impl<T: DeserializeOwned> FromColumn for Json<T> {
    fn from_column(value: ValueRef<'_>) -> Result<Json<T>, Misfit> {
        json::parse(value.as_str()?.as_bytes(), Limit::STORED).map(Json).map_err(Misfit::value)
    }
}
