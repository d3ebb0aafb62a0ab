//! Hash chain of the event log: hash = BLAKE3(previous hash, seq, run, at, payload), each field prefixed with its
//! length. Changing, removing or inserting an event breaks every later hash.

use rusqlite::{Connection, params};

use stepwell_run::event::Recorded;

use super::head::Head;
use super::seal;
use crate::decode::{Json, first, time_text};
use crate::error::StoreError;

/// Hash before the first event.
pub(crate) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

pub(crate) fn hash(previous: &str, seq: i64, run: &str, at: &str, payload: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    for field in [previous, &seq.to_string(), run, at, payload] {
        hasher.update(&(field.len() as u64).to_le_bytes());
        hasher.update(field.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// Reads the newest event and the count of commits without an event.
pub(crate) fn head(connection: &Connection) -> Result<Head, StoreError> {
    let newest = first(connection, "SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1", [])?;
    let (seq, hash) = newest.unwrap_or_else(|| (0, GENESIS.to_owned()));
    Ok(Head { seq, hash, quiet: seal::quiet_commits(connection)? })
}

/// Reads the hash of one event; `None` if the log does not contain it.
pub(crate) fn hash_at(connection: &Connection, seq: i64) -> Result<Option<String>, StoreError> {
    if seq == 0 {
        return Ok(Some(GENESIS.to_owned()));
    }
    first(connection, "SELECT hash FROM event WHERE seq = ?1", [seq])
}

/// Reads an event's tag from the start of its JSON.
fn kind(payload: &str) -> &str {
    payload.strip_prefix("{\"type\":\"").and_then(|rest| rest.split('"').next()).unwrap_or_default()
}

impl Head {
    /// The head of an empty log.
    pub(crate) fn genesis() -> Head {
        Head { seq: 0, hash: GENESIS.to_owned(), quiet: 0 }
    }

    /// Appends an event to the log and returns its number.
    pub(crate) fn append(&mut self, connection: &Connection, recorded: &Recorded) -> Result<i64, StoreError> {
        let payload = Json(&recorded.event).text()?;
        let kind = kind(&payload);
        let (seq, run, at) = (self.seq + 1, recorded.run.to_string(), time_text(recorded.at));
        let hash = hash(&self.hash, seq, &run, &at, &payload);
        let step = recorded.event.step().map(|step| step.as_str());
        connection
            .prepare_cached(
                "INSERT INTO event (seq, run, at, kind, step, payload, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![seq, run, at, kind, step, payload, hash])?;
        self.seq = seq;
        self.hash = hash;
        Ok(seq)
    }
}
