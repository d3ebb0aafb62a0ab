//! Stores the engine's answers to requests and deletes old ones.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, params};

use super::batch::{Answer, Batch};
use super::decode::{self, collect, time_text};
use super::error::StoreError;
use super::reader::Reader;
use super::seal::{self, Rows};

/// A client polls for seconds; a day lets a person read the answer later.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(24);
/// Oldest requests that each answer inspects. More than one, so that a backlog shrinks.
const LOOKED_AT: i64 = 8;

pub(super) fn write(connection: &Connection, batch: &Batch<'_>) -> Result<(), StoreError> {
    let at = batch.events.last().map_or_else(Timestamp::now, |recorded| recorded.at);
    for answer in batch.answers {
        let sql = "UPDATE request SET done_at = ?2, refusal = ?3 WHERE id = ?1";
        seal::change(connection, row(&answer.id), sql, params![answer.id, time_text(at), answer.refusal])?;
        forget_old(connection, at)?;
    }
    Ok(())
}

fn forget_old(connection: &Connection, now: Timestamp) -> Result<(), StoreError> {
    let Ok(before) = now.checked_sub(KEPT_FOR) else { return Ok(()) };
    let sql = "SELECT id FROM (SELECT id, done_at FROM request ORDER BY id LIMIT ?2) WHERE done_at < ?1";
    let old = collect(connection, sql, params![time_text(before), LOOKED_AT], |row| decode::get::<i64>(row, "id"))?;
    for id in old {
        seal::change(connection, row(&id), "DELETE FROM request WHERE id = ?1", [id])?;
    }
    Ok(())
}

fn row(id: &i64) -> Rows<'_> {
    Rows { table: "request", column: "id", key: id }
}

impl Reader {
    /// Returns the engine's answer to a request; `None` until it answers.
    pub fn answer(&self, id: i64) -> Result<Option<Answer>, StoreError> {
        let sql = "SELECT refusal FROM request WHERE id = ?1 AND done_at IS NOT NULL";
        self.ask(|connection| {
            decode::first(connection, sql, [id], |row| Ok(Answer { id, refusal: decode::get(row, "refusal")? }))
        })
    }
}
