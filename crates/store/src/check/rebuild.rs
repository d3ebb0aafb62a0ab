//! Rebuilds the tables from the log alone, with the code that wrote them originally; any difference means that
//! something else changed them. `replay` recomputes the most important columns with separate code, so that a fault of
//! the projection itself is found too.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::Backup;

use stepwell_run::event::{Event, Recorded, RunEvent};

use super::compare::table_differences;
use crate::decode::{Columns, FromRow, collect, first};
use crate::error::StoreError;
use crate::integrity::head::Head;
use crate::open::migrate;
use crate::rows::{EventColumns, EventRow, Pinned};
use crate::write::tally::Tally;
use crate::write::{commit, prune, submit};

/// Tables that no event writes; each has its own protection.
const NOT_LOGGED: [&str; 18] = [
    "meta",
    "annotation",
    "notification",
    "request",
    "schedule",
    "environment",
    "metric",
    "sample",
    "series_block",
    "attempt_usage",
    "token",
    "file",
    "batch",
    "event_cursor",
    "machine",
    "machine_event",
    "webhook_message",
    "refinery_schema_history",
];

/// Lists the differences between the tables and an intact log.
///
/// # Errors
/// Any error that prevents reading the database at all.
pub(super) fn differences(live: &Connection) -> Result<Vec<String>, StoreError> {
    // Private to this connection; SQLite moves it to disk when it grows.
    let mut scratch = Connection::open("")?;
    create_tables(&mut scratch)?;
    scratch.pragma_update(None, "foreign_keys", false)?;
    let mut found = schema_differences(live, &scratch)?;
    if let Some(impossible) = replay(live, &mut scratch)? {
        found.push(impossible);
    } else {
        for table in tables(&scratch)? {
            found.extend(table_differences(live, &scratch, &table)?);
        }
    }
    Ok(found)
}

/// Creates the tables of the newest schema. The migrations run once per process, because tests check thousands of
/// databases.
fn create_tables(scratch: &mut Connection) -> Result<(), StoreError> {
    static EMPTY: Mutex<Option<Connection>> = Mutex::new(None);
    let mut kept = EMPTY.lock().unwrap_or_else(PoisonError::into_inner);
    let empty = match kept.take() {
        Some(empty) => empty,
        None => {
            let mut empty = Connection::open_in_memory()?;
            migrate::create(&mut empty)?;
            empty
        }
    };
    Backup::new(&empty, scratch)?.run_to_completion(i32::MAX, Duration::ZERO, None)?;
    *kept = Some(empty);
    Ok(())
}

/// Applies the whole log; returns a description of the first event that cannot be applied, if any.
fn replay(live: &Connection, scratch: &mut Connection) -> Result<Option<String>, StoreError> {
    let transaction = scratch.transaction()?;
    let mut head = Head::genesis();
    let mut tally = Tally::default();
    let mut pruned = false;
    let mut statement = live.prepare("SELECT * FROM event ORDER BY seq")?;
    let columns = EventColumns::find(&statement)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let event = EventRow::from_row(row, &columns)?;
        let recorded = Recorded { run: event.run, at: event.at, event: event.event };
        // A batch of prunes deletes unused artifacts once at its end; no row refers to them before that.
        if std::mem::replace(&mut pruned, recorded.event == Event::Run(RunEvent::Pruned)) && !pruned {
            prune::delete_unused_artifacts(&transaction)?;
        }
        let applied = match &recorded.event {
            Event::Run(RunEvent::Submitted { .. }) => insert_run(live, &transaction, &mut head, &recorded).map(Some),
            _ => commit::project_and_prune(&transaction, &mut head, &mut tally, &recorded)
                .map(|applied| applied.map(drop)),
        };
        let problem = match applied {
            Ok(Some(())) => continue,
            Ok(None) => "its fence did not hold".to_owned(),
            Err(error) => error.to_string(),
        };
        let (seq, run) = (event.seq, recorded.run);
        return Ok(Some(format!("event log: event {seq} of run {run} cannot be applied again: {problem}")));
    }
    if pruned {
        prune::delete_unused_artifacts(&transaction)?;
    }
    tally.write(&transaction)?;
    // No failpoint: a scratch database.
    transaction.commit()?;
    Ok(None)
}

/// Only the run's row holds the workflow; its digest, which is in the log, was compared before.
fn insert_run(live: &Connection, scratch: &Connection, head: &mut Head, recorded: &Recorded) -> Result<(), StoreError> {
    let id = recorded.run.to_string();
    let pinned = first::<Pinned>(live, "SELECT * FROM run WHERE id = ?1", [&id])?;
    let pinned = pinned.ok_or(StoreError::UnknownRun { text: id })?;
    submit::insert(scratch, head, recorded, &pinned)
}

/// Compares the schemas: a changed view or constraint would change the meaning of the tables.
fn schema_differences(live: &Connection, scratch: &Connection) -> Result<Vec<String>, StoreError> {
    let schema = |connection: &Connection| {
        let sql = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name";
        let entries: Vec<(String, String, String, Option<String>)> = collect(connection, sql, [])?;
        let named = |(kind, name, table, sql)| (format!("{kind} `{name}`"), table, sql);
        Ok::<_, StoreError>(entries.into_iter().map(named).collect::<Vec<_>>())
    };
    let (there, expected) = (schema(live)?, schema(scratch)?);
    let unexpected = there.iter().filter(|entry| !expected.contains(entry));
    let missing = expected.iter().filter(|entry| !there.contains(entry));
    let names: BTreeSet<&str> = unexpected.chain(missing).map(|entry| entry.0.as_str()).collect();
    Ok(names.into_iter().map(|name| format!("schema: {name} is not what this build creates")).collect())
}

fn tables(scratch: &Connection) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    let all: Vec<String> = collect(scratch, sql, [])?;
    Ok(all.into_iter().filter(|name| !NOT_LOGGED.contains(&name.as_str())).collect())
}
