//! Messages to webhooks, and the events that they are made of.

use jiff::Timestamp;
use rusqlite::params;

use super::reader::Reader;
use crate::decode::{collect, first, time_text};
use crate::error::StoreError;
use crate::rows::{HashedEvent, MessageRow};

/// Messages of one receiver, in numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MessageCounts {
    /// Those that are still to be sent.
    pub open: u64,
    pub delivered: u64,
    pub given_up: u64,
}

impl Reader {
    /// The newest event that a receiver needs nothing of any more, and the types that it wants; `None` for a receiver that is
    /// new here.
    pub fn event_cursor(&self, name: &str) -> Result<Option<(i64, String)>, StoreError> {
        self.query(|connection| first(connection, "SELECT seq, wants FROM event_cursor WHERE name = ?1", [name]))
    }

    /// Up to `most` events after `after_seq`, with their hashes, in order.
    pub fn hashed_events(&self, after_seq: i64, most: u32) -> Result<Vec<HashedEvent>, StoreError> {
        let sql = "SELECT * FROM event WHERE seq > ?1 ORDER BY seq LIMIT ?2";
        self.query(|connection| collect(connection, sql, params![after_seq, most]))
    }

    /// The message to a receiver that is to be sent next.
    pub fn next_message(&self, webhook: &str) -> Result<Option<MessageRow>, StoreError> {
        let sql =
            "SELECT * FROM webhook_message WHERE webhook = ?1 AND next_at IS NOT NULL ORDER BY next_at, number LIMIT 1";
        self.query(|connection| first(connection, sql, [webhook]))
    }

    /// Up to `most` messages to a receiver, newest first.
    pub fn messages(&self, webhook: &str, most: u32) -> Result<Vec<MessageRow>, StoreError> {
        let sql = "SELECT * FROM webhook_message WHERE webhook = ?1 ORDER BY number DESC LIMIT ?2";
        self.query(|connection| collect(connection, sql, params![webhook, most]))
    }

    /// Up to `most` messages to a receiver that were given up after `since`, oldest first.
    pub fn given_up(&self, webhook: &str, since: Timestamp, most: u32) -> Result<Vec<MessageRow>, StoreError> {
        let sql = "SELECT * FROM webhook_message
                   WHERE webhook = ?1 AND next_at IS NULL AND last_at > ?2 AND outcome = 'given_up' ORDER BY last_at LIMIT ?3";
        self.query(|connection| collect(connection, sql, params![webhook, time_text(since), most]))
    }

    /// The messages with this id, or whose id starts so: one for each receiver.
    pub fn messages_named(&self, id: &str) -> Result<Vec<MessageRow>, StoreError> {
        let sql = "SELECT * FROM webhook_message WHERE substr(id, 1, length(?1)) = ?1 ORDER BY number LIMIT 100";
        self.query(|connection| collect(connection, sql, [id]))
    }

    /// The last attempt to send anything to a receiver.
    pub fn last_attempt(&self, webhook: &str) -> Result<Option<MessageRow>, StoreError> {
        let sql =
            "SELECT * FROM webhook_message WHERE webhook = ?1 AND last_at IS NOT NULL ORDER BY last_at DESC LIMIT 1";
        self.query(|connection| first(connection, sql, [webhook]))
    }

    pub fn message_counts(&self, webhook: &str) -> Result<MessageCounts, StoreError> {
        let sql = "SELECT coalesce(sum(outcome IS NULL), 0), coalesce(sum(outcome = 'delivered'), 0),
                          coalesce(sum(outcome = 'given_up'), 0) FROM webhook_message WHERE webhook = ?1";
        let found = self.query(|connection| first::<(u64, u64, u64)>(connection, sql, [webhook]))?;
        let (open, delivered, given_up) = found.unwrap_or_default();
        Ok(MessageCounts { open, delivered, given_up })
    }

    /// Receivers that have messages, whatever the settings say.
    pub fn webhooks_with_messages(&self) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT DISTINCT webhook FROM webhook_message ORDER BY webhook LIMIT 1000";
        self.query(|connection| collect(connection, sql, []))
    }
}
