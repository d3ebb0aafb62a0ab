//! Some of the runs, by an index that has only those: a state directory keeps every run that ever ended.

use rusqlite::{Connection, Params};

use crate::core::ids::RunId;

use super::decode;
use super::error::StoreError;
use super::reader::{RUNS, Reader};
use super::rows::RunRow;
use super::writer::active_run_named;

/// Word for word the condition of the index `run_open`, by which SQLite recognises it.
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
    /// Runs that have not ended, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn open_runs(&self) -> Result<Vec<RunRow>, StoreError> {
        self.runs_by(&open(), [])
    }

    /// Runs that no engine has started, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn pending_runs(&self) -> Result<Vec<RunId>, StoreError> {
        self.ask(|connection| decode::collect(connection, &pending(), [], |row| decode::parse(row, "id")))
    }

    /// The newest runs that have ended and were not pruned, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn ended_runs(&self, most: usize) -> Result<Vec<RunRow>, StoreError> {
        self.runs_by(&ended(), [i64::try_from(most).unwrap_or(i64::MAX)])
    }

    /// The run that keeps a name to itself, but for `except`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn active_run_named(&self, name: &str, except: RunId) -> Result<Option<RunId>, StoreError> {
        let active = |connection: &Connection| active_run_named(connection, name, Some(except));
        Ok(self.ask(active)?.map(|(run, _)| run))
    }

    fn runs_by(&self, sql: &str, values: impl Params) -> Result<Vec<RunRow>, StoreError> {
        let mut runs = self.ask(|connection| decode::collect(connection, sql, values, decode::run))?;
        self.correct_status(&mut runs);
        Ok(runs)
    }
}
