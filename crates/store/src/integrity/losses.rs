//! Compares the database with the record of the last commit, which is outside it.

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use super::chain;
use super::head::Recorded;
use crate::error::StoreError;
use crate::layout::{HEAD_FILE, RESTORING};

/// Fails unless the database contains the event recorded in `event-head`, with the same hash.
pub(crate) fn check_head(connection: &Connection, path: &Path, recorded: &Recorded) -> Result<(), StoreError> {
    let lost = |seq, found: String| Err(StoreError::LostEvents { path: path.to_owned(), seq, found });
    let head = match recorded {
        Recorded::Nothing => return Ok(()),
        Recorded::Unreadable => {
            let head = path.with_file_name(HEAD_FILE);
            let text = fs::read_to_string(head).unwrap_or_default();
            if text == RESTORING {
                return Err(StoreError::UnfinishedRestore { path: path.to_owned() });
            }
            let what = "it does not hold the number and hash of an event".to_owned();
            return Err(StoreError::Damaged { path: path.with_file_name(HEAD_FILE), what });
        }
        Recorded::Head(head) => head,
    };
    match chain::hash_at(connection, head.seq)? {
        Some(hash) if hash == head.hash => check_quiet(connection, path, head.quiet),
        Some(_) => lost(head.seq, "the database has another event in its place".to_owned()),
        None => lost(head.seq, format!("the database ends with event {}", chain::head(connection)?.seq)),
    }
}

/// Fails if commits without an event, such as metrics, are missing.
fn check_quiet(connection: &Connection, path: &Path, recorded: i64) -> Result<(), StoreError> {
    let found = chain::head(connection)?.quiet;
    if found < recorded {
        return Err(StoreError::LostCommits { path: path.to_owned(), lost: recorded - found });
    }
    Ok(())
}
