//! Rows of messages to webhooks.

use jiff::Timestamp;
use rusqlite::Row;

use stepwell_base::ids::RunId;

use super::event::EventRow;
use crate::decode::{FromRow, columns};
use crate::error::StoreError;

/// An event with its hash in the log, which no other event has.
#[derive(Clone, PartialEq, Debug)]
pub struct HashedEvent {
    pub row: EventRow,
    pub hash: String,
}

/// A message to store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewMessage {
    pub id: String,
    pub kind: &'static str,
    pub run: Option<RunId>,
    pub body: String,
    pub created_at: Timestamp,
    /// Time of the first attempt.
    pub first_at: Timestamp,
}

/// How a message ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MessageOutcome {
    Delivered,
    /// No further attempt follows by itself.
    GivenUp,
}

impl MessageOutcome {
    pub fn as_str(self) -> &'static str {
        match self {
            MessageOutcome::Delivered => "delivered",
            MessageOutcome::GivenUp => "given_up",
        }
    }
}

/// What comes after an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum After {
    Ended(MessageOutcome),
    /// The next attempt.
    At(Timestamp),
}

/// An attempt to send a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempted {
    pub at: Timestamp,
    /// Of the answer, if there was one.
    pub status: Option<u16>,
    /// `None` for a success.
    pub error: Option<String>,
    pub after: After,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MessageRow {
    /// Place in the order of the messages.
    pub number: i64,
    pub webhook: String,
    pub id: String,
    pub kind: String,
    pub run: Option<RunId>,
    pub body: String,
    pub created_at: Timestamp,
    pub attempts: u32,
    pub next_at: Option<Timestamp>,
    pub last_at: Option<Timestamp>,
    pub status: Option<u32>,
    pub error: Option<String>,
    pub outcome: Option<MessageOutcome>,
}

columns! {
    pub(crate) struct MessageColumns {
        number, webhook, id, kind, run, body, created_at, attempts, next_at, last_at, status, error, outcome,
    }
}

impl FromRow for MessageRow {
    type Columns = MessageColumns;

    fn from_row(row: &Row<'_>, columns: &MessageColumns) -> Result<MessageRow, StoreError> {
        let outcome = match columns.outcome.get::<Option<String>>(row)?.as_deref() {
            None => None,
            Some("delivered") => Some(MessageOutcome::Delivered),
            Some("given_up") => Some(MessageOutcome::GivenUp),
            Some(other) => return Err(columns.outcome.undecodable(format!("unknown outcome `{other}`"))),
        };
        Ok(MessageRow {
            number: columns.number.get(row)?,
            webhook: columns.webhook.get(row)?,
            id: columns.id.get(row)?,
            kind: columns.kind.get(row)?,
            run: columns.run.get(row)?,
            body: columns.body.get(row)?,
            created_at: columns.created_at.get(row)?,
            attempts: columns.attempts.get(row)?,
            next_at: columns.next_at.get(row)?,
            last_at: columns.last_at.get(row)?,
            status: columns.status.get(row)?,
            error: columns.error.get(row)?,
            outcome,
        })
    }
}

columns! {
    pub(crate) struct HashedColumns { seq, run, at, payload, hash }
}

impl FromRow for HashedEvent {
    type Columns = HashedColumns;

    fn from_row(row: &Row<'_>, columns: &HashedColumns) -> Result<HashedEvent, StoreError> {
        let event = EventRow {
            run: columns.run.get(row)?,
            seq: columns.seq.get(row)?,
            at: columns.at.get(row)?,
            event: columns.payload.json(row)?,
        };
        Ok(HashedEvent { row: event, hash: columns.hash.get(row)? })
    }
}
