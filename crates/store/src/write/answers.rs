//! Stores the engine's answers to requests and deletes old ones.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, params};

use crate::batch::Batch;
use crate::decode::{collect, time_text};
use crate::error::StoreError;
use crate::integrity::seal::{self, Rows};

/// A client polls for seconds; a day lets a person read the answer later.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(24);
/// Oldest requests that each answer inspects. More than one, so that a backlog shrinks.
const INSPECTED: i64 = 8;

pub(super) fn write(connection: &Connection, batch: &Batch<'_>) -> Result<(), StoreError> {
    let at = batch.events.last().map_or_else(Timestamp::now, |recorded| recorded.at);
    for answer in batch.answers {
        let sql = "UPDATE request SET done_at = ?2, refusal = ?3 WHERE id = ?1";
        seal::change(connection, row(&answer.id), sql, params![answer.id, time_text(at), answer.refusal])?;
        delete_old(connection, at)?;
    }
    Ok(())
}

fn delete_old(connection: &Connection, now: Timestamp) -> Result<(), StoreError> {
    let Ok(before) = now.checked_sub(KEPT_FOR) else { return Ok(()) };
    let sql = "SELECT id FROM (SELECT id, done_at FROM request ORDER BY id LIMIT ?2) WHERE done_at < ?1";
    for id in collect::<i64>(connection, sql, params![time_text(before), INSPECTED])? {
        seal::change(connection, row(&id), "DELETE FROM request WHERE id = ?1", [id])?;
    }
    Ok(())
}

fn row(id: &i64) -> Rows<'_> {
    Rows { table: "request", column: "id", key: id }
}
