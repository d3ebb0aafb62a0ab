//! Adds batches and notes what happens to them. A batch ends once: its ending never changes.

use jiff::Timestamp;
use rusqlite::{Connection, Params, params};

use super::files;
use crate::decode::{Json, first, time_text};
use crate::error::StoreError;
use crate::integrity::seal::{self, Rows};
use crate::rows::{BatchChecked, BatchEnding, BatchRow, FileRow};
use crate::write::store::Store;

impl Store {
    /// Adds a batch, unless it exists; returns the row that is there then.
    ///
    /// # Errors
    /// Those of [`Store::commit`].
    pub fn add_batch(&mut self, batch: &BatchRow) -> Result<BatchRow, StoreError> {
        self.write(1, |transaction, _| {
            insert(transaction, batch)?;
            let found = first(transaction, "SELECT * FROM batch WHERE id = ?1", [&batch.id])?;
            found.ok_or_else(|| StoreError::undecodable(format!("batch {} was not stored", batch.id)))
        })
    }

    /// Notes that all lines of the input are good.
    ///
    /// # Errors
    /// Those of [`Store::commit`].
    pub fn note_checked(&mut self, id: &str, checked: &BatchChecked) -> Result<(), StoreError> {
        self.write(1, |transaction, _| {
            let sql = "UPDATE batch SET checked = ?2 WHERE id = ?1 AND ending IS NULL";
            change(transaction, id, sql, params![id, Json(checked)])?;
            Ok(())
        })
    }

    /// Notes that somebody asks to cancel a batch; false if it has ended, or was asked before.
    ///
    /// # Errors
    /// Those of [`Store::commit`].
    pub fn cancel_batch(&mut self, id: &str, at: Timestamp) -> Result<bool, StoreError> {
        self.write(1, |transaction, _| {
            let sql = "UPDATE batch SET cancelling_at = ?2 WHERE id = ?1 AND ending IS NULL AND cancelling_at IS NULL";
            Ok(change(transaction, id, sql, params![id, time_text(at)])? > 0)
        })
    }

    /// Ends a batch together with its files of results; false if it has ended before, which then stays as it is.
    ///
    /// # Errors
    /// Those of [`Store::commit`].
    pub fn end_batch(&mut self, id: &str, ending: &BatchEnding, results: &[FileRow]) -> Result<bool, StoreError> {
        self.write(1, |transaction, _| {
            let sql = "UPDATE batch SET ending = ?2 WHERE id = ?1 AND ending IS NULL";
            if change(transaction, id, sql, params![id, Json(ending)])? == 0 {
                return Ok(false);
            }
            for file in results {
                files::insert(transaction, file)?;
            }
            Ok(true)
        })
    }
}

fn change(connection: &Connection, id: &str, sql: &str, values: impl Params) -> Result<usize, StoreError> {
    seal::change(connection, Rows { table: "batch", column: "id", key: &id }, sql, values)
}

fn insert(connection: &Connection, batch: &BatchRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO batch (id, created_at, endpoint, completion_window, expires_at, input_file, input, metadata,
                                  output_expires_after)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (id) DO NOTHING";
    let values = params![
        batch.id,
        time_text(batch.created_at),
        batch.endpoint,
        batch.completion_window,
        time_text(batch.expires_at),
        batch.input_file,
        Json(&batch.input),
        Json(&batch.metadata),
        batch.output_expires_after,
    ];
    change(connection, &batch.id, sql, values)?;
    Ok(())
}
