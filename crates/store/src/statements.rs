//! For tests, in development builds only: records the statements of a thread, and finds those that scan a table that
//! grows with history.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::trace::{TraceEvent, TraceEventCodes};

/// Tables that keep their rows for ever.
const GROWING: [&str; 16] = [
    "annotation",
    "event",
    "run",
    "step",
    "attempt",
    "artifact",
    "step_output",
    "checkpoint",
    "metric",
    "series_block",
    "request",
    "decision",
    "signal",
    "webhook_message",
    "machine",
    "machine_event",
];

/// Indexes of unfinished work.
const OPEN: [&str; 3] = ["run_open", "request_pending", "machine_open"];

thread_local! {
    static NOTED: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Traces the statements of a connection; every writing connection of a test calls this when it opens.
pub fn watch(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(note))
}

fn note(event: TraceEvent<'_>) {
    if let TraceEvent::Stmt(_, sql) = event {
        NOTED.with_borrow_mut(|noted| {
            if let Some(noted) = noted {
                noted.push(sql.to_owned());
            }
        });
    }
}

/// Returns the statements that `work` runs on this thread.
pub fn statements(work: impl FnOnce()) -> Vec<String> {
    NOTED.set(Some(Vec::new()));
    work();
    NOTED.take().unwrap_or_default()
}

/// Fails for each statement that scans a table. A statement with a row limit must not sort all rows first.
#[track_caller]
pub fn assert_bounded(state_dir: &Path, statements: &[String]) {
    let statements: BTreeSet<&String> = statements.iter().collect();
    let database = Connection::open(state_dir.join("stepwell.db")).expect("the test made the database");
    let verbs = ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"];
    let mut explained = 0;
    let mut scans = Vec::new();
    for sql in statements.iter().filter(|sql| verbs.iter().any(|verb| sql.starts_with(verb))) {
        explained += 1;
        let mut statement =
            database.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("the database can explain its statements");
        // The plan does not depend on the values.
        let mut plan = statement.raw_query();
        while let Some(row) = plan.next().expect("the database can explain its statements") {
            let line: String = row.get(3).expect("the database can explain its statements");
            let unbounded = match sql.contains("LIMIT") {
                true => line == "USE TEMP B-TREE FOR ORDER BY",
                false => is_scan(&line),
            };
            if unbounded {
                scans.push(format!("{line}: {sql}"));
            }
        }
    }
    assert!(explained > 5, "{statements:?}");
    assert!(scans.is_empty(), "\n{}", scans.join("\n"));
}

fn is_scan(line: &str) -> bool {
    !OPEN.iter().any(|index| line.ends_with(&format!("INDEX {index}")))
        && line.strip_prefix("SCAN ").is_some_and(|rest| GROWING.contains(&rest.split(' ').next().unwrap_or(rest)))
}
