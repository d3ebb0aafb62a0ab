//! Stores the lives of rented machines. Any process may write it, also while an engine runs.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, params};

use super::store::Store;
use crate::decode::{collect, time_text};
use crate::error::StoreError;
use crate::integrity::seal::{self, Rows};
use crate::rows::NewMachine;

/// Time for which a plan that nobody has confirmed is kept; it expires much earlier.
const KEPT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Old plans that are removed at a time.
const REMOVED: i64 = 100;

impl Store {
    /// Adds a machine with its first event.
    ///
    /// # Errors
    /// Those of [`Store::commit`].
    pub fn add_machine(&mut self, new: &NewMachine<'_>) -> Result<(), StoreError> {
        self.write(2, |transaction, _| {
            remove_old_plans(transaction, new.at)?;
            let sql = "INSERT INTO machine (key, digest, provider, state, version, created_at)
                       VALUES (?1, ?2, ?3, ?4, 1, ?5)";
            let values = params![new.key, new.digest, new.provider, new.state, time_text(new.at)];
            seal::change(transaction, machine(&new.key), sql, values)?;
            insert_event(transaction, new.key, 1, new.event, new.at)
        })
    }

    /// Adds an event to a machine that has exactly `version` of them; false, and nothing is stored, if it has others.
    ///
    /// # Errors
    /// Those of [`Store::commit`].
    pub fn add_machine_event(
        &mut self,
        key: &str,
        version: u64,
        (state, event): (&str, &str),
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write(2, |transaction, _| {
            let next = version + 1;
            let sql = "UPDATE machine SET version = ?3, state = ?4 WHERE key = ?1 AND version = ?2";
            let values = params![key, version.cast_signed(), next.cast_signed(), state];
            if seal::change(transaction, machine(&key), sql, values)? == 0 {
                return Ok(false);
            }
            insert_event(transaction, key, next, event, at)?;
            Ok(true)
        })
    }
}

fn machine<'k>(key: &'k &str) -> Rows<'k> {
    Rows { table: "machine", column: "key", key }
}

fn insert_event(
    connection: &Connection,
    key: &str,
    version: u64,
    event: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO machine_event (machine, version, at, event) VALUES (?1, ?2, ?3, ?4)";
    seal::insert(connection, "machine_event", sql, params![key, version.cast_signed(), time_text(at), event])?;
    Ok(())
}

/// Only plans: nothing was ever asked of a provider under their keys.
fn remove_old_plans(connection: &Connection, now: Timestamp) -> Result<(), StoreError> {
    let before = now.checked_sub(KEPT).unwrap_or(Timestamp::MIN);
    let sql = "SELECT key FROM machine
               WHERE state <> 'gone' AND created_at < ?1 AND state = 'planned' ORDER BY created_at LIMIT ?2";
    for key in collect::<String>(connection, sql, params![time_text(before), REMOVED])? {
        let events = Rows { table: "machine_event", column: "machine", key: &key };
        seal::change(connection, events, "DELETE FROM machine_event WHERE machine = ?1", [&key])?;
        seal::change(connection, machine(&key.as_str()), "DELETE FROM machine WHERE key = ?1", [&key])?;
    }
    Ok(())
}
