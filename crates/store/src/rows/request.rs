//! Requests that other processes made to the engine, and its answers.

use rusqlite::Row;

use stepwell_base::ids::RunId;
use stepwell_base::json::{self, Limit};
use stepwell_run::request::Request;

use crate::decode::{FromRow, columns};
use crate::error::StoreError;

/// A request that another process made to the engine.
#[derive(Clone, PartialEq, Debug)]
pub struct RequestRow {
    pub id: i64,
    /// The request, or the reason why it cannot be read; both cases get an answer.
    pub asked: Result<(RunId, Request), String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    pub id: i64,
    /// Reason for a refusal; `None` if the request was carried out.
    pub refusal: Option<String>,
}

columns! {
    pub(crate) struct RequestColumns { id, run, body }
}

impl FromRow for RequestRow {
    type Columns = RequestColumns;

    fn from_row(row: &Row<'_>, columns: &RequestColumns) -> Result<RequestRow, StoreError> {
        let asked = asked(row, columns).map_err(|error| error.to_string());
        Ok(RequestRow { id: columns.id.get(row)?, asked })
    }
}

fn asked(row: &Row<'_>, columns: &RequestColumns) -> Result<(RunId, Request), StoreError> {
    let request = json::parse(columns.body.text(row)?.as_bytes(), Limit::REQUEST);
    Ok((columns.run.get(row)?, request.map_err(|error| StoreError::undecodable(error.to_string()))?))
}
