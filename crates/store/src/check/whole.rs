//! Checks a whole state directory.

use std::path::Path;

use rusqlite::Connection;

use super::findings::{Findings, Problem};
use super::log::check_log;
use super::rebuild;
use super::tables::check_tables;
use super::unlogged::check_unlogged;
use crate::decode::collect;
use crate::error::StoreError;
use crate::integrity::head;
use crate::integrity::losses::check_head;
use crate::layout::DATABASE_FILE;
use crate::read::reader::Reader;

/// Checks the whole database of a state directory: `integrity_check`, foreign keys, the hash chain of the event log,
/// its head outside the database, and the tables against the log. The artifact store checks the contents of artifacts.
///
/// # Errors
/// Any error that prevents opening or reading the database at all.
pub fn check(state_dir: &Path) -> Result<Vec<Problem>, StoreError> {
    // Read before the database, which may grow in the meantime but must never lose the event that the head names.
    let recorded = head::read(state_dir)?;
    let reader = Reader::open(state_dir)?;
    let mut findings = Findings::new(state_dir);
    let path = state_dir.join(DATABASE_FILE);
    // One snapshot for all checks, because an engine may be writing.
    let snapshot = reader.connection.unchecked_transaction()?;
    check_file(&snapshot, &mut findings).map_err(|error| error.at(&path))?;
    let replayed = check_log(&snapshot, &mut findings).map_err(|error| error.at(&path))?;
    if let Err(error) = check_head(&reader.connection, &path, &recorded) {
        let hint = error.hint().unwrap_or_default();
        findings.problems.push(Problem { what: error.to_string(), hint });
    }
    check_tables(&reader, &replayed, &mut findings)?;
    check_unlogged(&snapshot, &mut findings).map_err(|error| error.at(&path))?;
    if findings.problems.is_empty() {
        for difference in rebuild::differences(&snapshot).map_err(|error| error.at(&path))? {
            findings.add(difference);
        }
    }
    Ok(findings.problems)
}

fn check_file(connection: &Connection, findings: &mut Findings) -> Result<(), StoreError> {
    for line in collect::<String>(connection, "PRAGMA integrity_check", [])? {
        if line != "ok" {
            findings.add(format!("integrity check: {line}"));
        }
    }
    let broken = collect::<(String, Option<i64>, String, i64)>(connection, "PRAGMA foreign_key_check", [])?;
    for (table, row, parent, _) in broken {
        let row = row.map_or_else(String::new, |row| format!(" row {row}"));
        findings.add(format!("foreign key: table `{table}`{row} refers to a missing row of `{parent}`"));
    }
    Ok(())
}
