//! Stores messages to webhooks, and who has which events. Any process may write it, also while an engine runs.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, params};

use crate::decode::{collect, first, time_text};
use crate::error::StoreError;
use crate::integrity::seal::{self, Rows};
use crate::rows::{After, Attempted, MessageOutcome, NewMessage};
use crate::write::store::Store;
use stepwell_workflow::webhook::{EventType, Pattern};

/// Hours for which delivered messages and those that were given up are kept.
const KEPT_DELIVERED: i64 = 7 * 24;
const KEPT_GIVEN_UP: i64 = 90 * 24;
/// Ended messages that are removed at a time.
const REMOVED: i64 = 100;

impl Store {
    /// The newest event that a receiver needs nothing of any more. A receiver that is new here starts behind the newest one.
    /// `wants` has patterns of types, separated by commas: `announce` gives it messages of these.
    ///
    /// # Errors
    /// Those of [`Store::commit`].
    pub fn event_cursor(&mut self, name: &str, wants: &str) -> Result<i64, StoreError> {
        if let Some((seq, known)) = self.reader().event_cursor(name)?
            && known == wants
        {
            return Ok(seq);
        }
        self.write(1, |transaction, head| {
            let sql = "INSERT INTO event_cursor (name, seq, wants) VALUES (?1, ?2, ?3)
                       ON CONFLICT (name) DO UPDATE SET wants = excluded.wants";
            seal::change(transaction, cursor(&name), sql, params![name, head.seq, wants])?;
            read_cursor(transaction, name).map(|seq| seq.unwrap_or(head.seq))
        })
    }

    /// Moves the cursor of a receiver from event `from` to event `to`, and stores the messages of the events in between.
    /// False, and nothing is stored, if another process has moved it.
    ///
    /// # Errors
    /// Those of [`Store::commit`].
    pub fn advance_cursor(
        &mut self,
        name: &str,
        (from, to): (i64, i64),
        messages: &[NewMessage],
    ) -> Result<bool, StoreError> {
        self.write(1 + messages.len(), |transaction, _| {
            if read_cursor(transaction, name)? != Some(from) {
                return Ok(false);
            }
            seal::change(
                transaction,
                cursor(&name),
                "UPDATE event_cursor SET seq = ?2 WHERE name = ?1",
                params![name, to],
            )?;
            for message in messages {
                insert(transaction, name, message)?;
            }
            if let Some(newest) = messages.last() {
                remove_ended(transaction, name, newest.first_at)?;
            }
            Ok(true)
        })
    }

    /// Stores a message that no event has led to; returns its number.
    ///
    /// # Errors
    /// Those of [`Store::commit`].
    pub fn add_message(&mut self, webhook: &str, message: &NewMessage) -> Result<Option<i64>, StoreError> {
        self.write(1, |transaction, _| insert(transaction, webhook, message))
    }

    /// Notes an attempt to send a message.
    ///
    /// # Errors
    /// Those of [`Store::commit`].
    pub fn note_attempt(&mut self, number: i64, attempted: &Attempted) -> Result<(), StoreError> {
        let (next_at, outcome) = match attempted.after {
            After::Ended(outcome) => (None, Some(outcome.as_str())),
            After::At(at) => (Some(time_text(at)), None),
        };
        let Attempted { at, status, error, .. } = attempted;
        self.write(1, |transaction, _| {
            // What another process has delivered in the meantime stays delivered.
            let sql = "UPDATE webhook_message
                       SET attempts = attempts + 1, last_at = ?2, status = ?3, error = ?4, next_at = ?5, outcome = ?6
                       WHERE number = ?1 AND outcome IS NOT ?7";
            let delivered = MessageOutcome::Delivered.as_str();
            let values = params![number, time_text(*at), status, error, next_at, outcome, delivered];
            seal::change(transaction, message(&number), sql, values)?;
            Ok(())
        })
    }
}

/// Stores a message for every receiver that wants its type, in the transaction of what it tells.
pub(in crate::write) fn announce(
    connection: &Connection,
    kind: EventType,
    message: &NewMessage,
) -> Result<(), StoreError> {
    let receivers: Vec<(String, String)> = collect(connection, "SELECT name, wants FROM event_cursor", [])?;
    for (name, wants) in receivers {
        if wants.split(',').filter_map(Pattern::parse).any(|pattern| pattern.matches(kind)) {
            insert(connection, &name, message)?;
        }
    }
    Ok(())
}

fn cursor<'k>(name: &'k &str) -> Rows<'k> {
    Rows { table: "event_cursor", column: "name", key: name }
}

fn message(number: &i64) -> Rows<'_> {
    Rows { table: "webhook_message", column: "number", key: number }
}

fn read_cursor(connection: &Connection, name: &str) -> Result<Option<i64>, StoreError> {
    first(connection, "SELECT seq FROM event_cursor WHERE name = ?1", [name])
}

/// `None` if the receiver has a message with this id.
fn insert(connection: &Connection, webhook: &str, message: &NewMessage) -> Result<Option<i64>, StoreError> {
    let sql = "INSERT INTO webhook_message (webhook, id, kind, run, body, created_at, next_at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (webhook, id) DO NOTHING";
    let NewMessage { id, kind, run, body, created_at, first_at } = message;
    let (run, created_at, first_at) = (run.map(|run| run.to_string()), time_text(*created_at), time_text(*first_at));
    seal::insert(connection, "webhook_message", sql, params![webhook, id, kind, run, body, created_at, first_at])
}

fn remove_ended(connection: &Connection, webhook: &str, now: Timestamp) -> Result<(), StoreError> {
    for (outcome, hours) in [(MessageOutcome::Delivered, KEPT_DELIVERED), (MessageOutcome::GivenUp, KEPT_GIVEN_UP)] {
        let before = now.checked_sub(SignedDuration::from_hours(hours)).unwrap_or(Timestamp::MIN);
        let sql = "SELECT number FROM webhook_message
                   WHERE webhook = ?1 AND last_at < ?2 AND next_at IS NULL AND outcome = ?3 ORDER BY last_at LIMIT ?4";
        for number in collect::<i64>(connection, sql, params![webhook, time_text(before), outcome.as_str(), REMOVED])? {
            seal::change(connection, message(&number), "DELETE FROM webhook_message WHERE number = ?1", [number])?;
        }
    }
    Ok(())
}
