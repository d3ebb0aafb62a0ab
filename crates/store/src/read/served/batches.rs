//! Batches by id and in pages, and the run of a batch.

use jiff::Timestamp;
use rusqlite::params;

use stepwell_base::ids::RunId;

use crate::decode::{collect, first, time_text};
use crate::error::StoreError;
use crate::read::reader::Reader;
use crate::rows::BatchRow;

impl Reader {
    pub fn batch(&self, id: &str) -> Result<Option<BatchRow>, StoreError> {
        self.query(|connection| first(connection, "SELECT * FROM batch WHERE id = ?1", [id]))
    }

    /// At most `most` batches older than `after`, newest first.
    pub fn batch_page(&self, after: Option<(Timestamp, &str)>, most: usize) -> Result<Vec<BatchRow>, StoreError> {
        let sql = "SELECT * FROM batch WHERE ?1 IS NULL OR (created_at, id) < (?1, ?2)
                   ORDER BY created_at DESC, id DESC LIMIT ?3";
        let (at, id) = after.map(|(at, id)| (time_text(at), id)).unzip();
        let values = params![at, id, i64::try_from(most).unwrap_or(i64::MAX)];
        self.query(|connection| collect(connection, sql, values))
    }

    /// Batches that have not ended, oldest first.
    pub fn open_batches(&self) -> Result<Vec<BatchRow>, StoreError> {
        let sql = "SELECT * FROM batch WHERE ending IS NULL ORDER BY created_at, id";
        self.query(|connection| collect(connection, sql, []))
    }

    /// The run that was submitted with this key.
    pub fn run_of_key(&self, key: &str) -> Result<Option<RunId>, StoreError> {
        self.query(|connection| first(connection, "SELECT id FROM run WHERE idempotency_key = ?1", [key]))
    }
}
