//! Requests of other processes, and the engine's answers.

use crate::decode::{collect, first};
use crate::error::StoreError;
use crate::read::reader::Reader;
use crate::rows::{Answer, RequestRow};

impl Reader {
    /// Unanswered requests, oldest first.
    pub fn pending_requests(&self) -> Result<Vec<RequestRow>, StoreError> {
        let sql = "SELECT id, run, body FROM request WHERE done_at IS NULL ORDER BY id";
        self.query(|connection| collect(connection, sql, []))
    }

    /// Returns the engine's answer to a request; `None` until it answers.
    pub fn answer(&self, id: i64) -> Result<Option<Answer>, StoreError> {
        let sql = "SELECT refusal FROM request WHERE id = ?1 AND done_at IS NOT NULL";
        let refusal = self.query(|connection| first(connection, sql, [id]))?;
        Ok(refusal.map(|refusal| Answer { id, refusal }))
    }
}
