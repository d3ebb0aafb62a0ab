//! Stores requests of other processes to the engine.

use jiff::Timestamp;
use rusqlite::params;

use stepwell_base::ids::RunId;
use stepwell_base::json::{self, JsonError, Limit};
use stepwell_run::request::Request;

use super::store::Store;
use crate::decode::{Json, time_text};
use crate::error::StoreError;
use crate::integrity::seal;

impl Store {
    /// Stores a request to the engine and returns its number. The caller must wake the engine separately.
    ///
    /// # Errors
    /// `UnknownRun`, `Unstorable`, and those of [`Store::commit`].
    pub fn request(&mut self, run: RunId, request: &Request, at: Timestamp) -> Result<i64, StoreError> {
        self.reader().run(run)?;
        let body = Json(request).text()?;
        let unstorable = |error: JsonError| StoreError::Unstorable { why: error.to_string() };
        json::check(body.as_bytes(), Limit::REQUEST).map_err(unstorable)?;
        self.write(1, |transaction, _| {
            let sql = "INSERT INTO request (run, kind, body, at) VALUES (?1, ?2, ?3, ?4)";
            let values = params![run.to_string(), request.kind(), body, time_text(at)];
            let id = seal::insert(transaction, "request", sql, values)?;
            id.ok_or_else(|| StoreError::undecodable("a request was not inserted"))
        })
    }
}
