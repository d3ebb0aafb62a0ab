//! Adds batches and notes what happens to them. A batch ends once: its ending never changes.

use jiff::Timestamp;
use rusqlite::{Connection, Params, params};
use serde_json::json;

use super::files;
use crate::decode::{Json, first, time_text};
use crate::error::StoreError;
use crate::integrity::seal::{self, Rows};
use crate::rows::{BatchChecked, BatchEnding, BatchOutcome, BatchRow, FileRow, NewMessage};
use crate::write::store::Store;
use crate::write::told::webhooks::announce;
use stepwell_workflow::webhook::EventType;

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
            let (kind, message) = end_message(id, ending);
            announce(transaction, kind, &message)?;
            Ok(true)
        })
    }
}

/// What receivers of events are told, in the form of OpenAI's webhooks.
fn end_message(id: &str, ending: &BatchEnding) -> (EventType, NewMessage) {
    let kind = match ending.outcome {
        BatchOutcome::Completed => EventType::BatchCompleted,
        BatchOutcome::Failed => EventType::BatchFailed,
        BatchOutcome::Expired => EventType::BatchExpired,
        BatchOutcome::Cancelled => EventType::BatchCancelled,
    };
    // A batch ends once.
    let hash = blake3::hash(format!("{id} {}", kind.as_str()).as_bytes()).to_hex();
    let body = json!({
        "id": format!("evt_{}", &hash[..32]),
        "object": "event",
        "created_at": ending.at.as_second(),
        "type": kind.as_str(),
        "data": { "id": id },
    });
    let message = NewMessage {
        id: format!("msg_{}", &hash[..32]),
        kind: kind.as_str(),
        run: None,
        body: body.to_string(),
        created_at: ending.at,
        first_at: ending.at,
    };
    (kind, message)
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
