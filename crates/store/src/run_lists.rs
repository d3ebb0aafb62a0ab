//! Lists subsets of runs through partial indexes, because a state directory keeps every run that ever ended.

use rusqlite::{Connection, Params, Row};

use stepwell_base::ids::RunId;

use super::decode;
use super::error::StoreError;
use super::reader::{RUNS, Reader};
use super::rows::RunRows;
use super::writer::active_run_named;

/// Must match the condition of the index `run_open` word for word, or SQLite does not use the index.
const OPEN: &str = "status IN ('pending', 'running', 'interrupted', 'paused', 'canceling')";

fn open() -> String {
    format!("{RUNS} WHERE {OPEN} ORDER BY run.id DESC")
}

fn pending() -> String {
    format!("SELECT id FROM run WHERE {OPEN} AND status = 'pending' ORDER BY id")
}

fn ended() -> String {
    format!(
        "{RUNS} WHERE status IN ('succeeded', 'failed', 'canceled') AND pruned_at IS NULL ORDER BY run.id DESC LIMIT ?1"
    )
}

impl Reader {
    /// Unfinished runs, newest first.
    pub fn open_runs(&self) -> Result<RunRows, StoreError> {
        self.runs_by(&open(), [])
    }

    /// Runs that no engine has started yet, oldest first.
    pub fn pending_runs(&self) -> Result<Vec<RunId>, StoreError> {
        let id = |row: &Row<'_>| decode::parse(row, "id");
        // A run without a valid id cannot be named or driven.
        let read = |connection: &Connection| decode::collect_readable(connection, &pending(), [], id, |_, _| ());
        Ok(self.ask(read)?.0)
    }

    /// The newest ended runs that were not pruned, newest first.
    pub fn ended_runs(&self, most: usize) -> Result<RunRows, StoreError> {
        self.runs_by(&ended(), [i64::try_from(most).unwrap_or(i64::MAX)])
    }

    /// The unfinished run that has this name, ignoring `except`.
    pub fn active_run_named(&self, name: &str, except: RunId) -> Result<Option<RunId>, StoreError> {
        let active = |connection: &Connection| active_run_named(connection, name, Some(except));
        Ok(self.ask(active)?.map(|(run, _)| run))
    }

    /// The reason why an unfinished run cannot be driven, if any.
    pub fn damage(&self, run: RunId) -> Result<Option<String>, StoreError> {
        let read = || {
            self.spec(run)?;
            self.notices(run)?;
            self.overview(run, 0)
        };
        match read() {
            Err(error) if error.concerns_one_run() => Ok(Some(error.to_string())),
            Err(error) => Err(error),
            Ok(_) => Ok(None),
        }
    }

    pub(super) fn runs_by(&self, sql: &str, values: impl Params) -> Result<RunRows, StoreError> {
        let read = |connection: &Connection| {
            decode::collect_readable(connection, sql, values, decode::run, decode::unreadable)
        };
        let (mut readable, unreadable) = self.ask(read)?;
        self.correct_status(&mut readable);
        Ok(RunRows { readable, unreadable })
    }
}
