//! Runs: all of them, subsets through partial indexes (because a state directory keeps every run that ever ended), and
//! one by the name that a person gives.

use rusqlite::{Connection, Params, params, params_from_iter};

use stepwell_base::ids::RunId;
use stepwell_run::status::RunStatus;
use stepwell_workflow::spec::WorkflowSpec;

use super::reader::Reader;
use crate::decode::{collect, collect_readable, first};
use crate::error::StoreError;
use crate::open::lock::EngineLock;
use crate::rows::{RunRow, RunRows, Unreadable};

/// Most candidates that an ambiguous prefix lists.
const CANDIDATES: usize = 8;

/// All columns of a run except its workflow, which may be megabytes. The time of the newest event comes from the log: a
/// column for it would add a page to every commit.
pub(crate) const RUNS: &str =
    "SELECT id, name, workflow, status, created_at, started_at, finished_at, failure, pause_reason,
    spec_digest, options, pruned_at, coalesce((SELECT at FROM event WHERE event.run = run.id ORDER BY seq DESC LIMIT 1),
                                   created_at) AS updated_at
    FROM run";

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
    /// All runs, newest first.
    pub fn runs(&self) -> Result<RunRows, StoreError> {
        self.runs_by(&format!("{RUNS} ORDER BY run.id DESC"), [])
    }

    /// Unfinished runs, newest first.
    pub fn open_runs(&self) -> Result<RunRows, StoreError> {
        self.runs_by(&open(), [])
    }

    /// Runs that no engine has started yet, oldest first.
    pub fn pending_runs(&self) -> Result<Vec<RunId>, StoreError> {
        // A run without a valid id cannot be named or driven.
        Ok(self.query(|connection| collect_readable(connection, &pending(), [], |_, _| ()))?.0)
    }

    /// The newest ended runs that were not pruned, newest first.
    pub fn ended_runs(&self, most: usize) -> Result<RunRows, StoreError> {
        self.runs_by(&ended(), [i64::try_from(most).unwrap_or(i64::MAX)])
    }

    /// The row of one run.
    ///
    /// # Errors
    /// `UnknownRun`.
    pub fn run(&self, id: RunId) -> Result<RunRow, StoreError> {
        let found =
            self.query(|connection| first(connection, &format!("{RUNS} WHERE run.id = ?1"), [id.to_string()]))?;
        let mut runs: Vec<RunRow> = found.into_iter().collect();
        self.correct_status(&mut runs);
        runs.pop().ok_or_else(|| StoreError::UnknownRun { text: id.to_string() })
    }

    /// The workflow that a run pinned, with its parameters.
    ///
    /// # Errors
    /// `UnknownRun`; `DamagedSpec` when it differs from the submitted workflow.
    pub fn spec(&self, id: RunId) -> Result<WorkflowSpec, StoreError> {
        let found = self.query(|connection| {
            let sql = "SELECT id, spec, spec_digest FROM run WHERE id = ?1";
            first(connection, sql, [id.to_string()])
        })?;
        found.ok_or_else(|| StoreError::UnknownRun { text: id.to_string() })
    }

    /// Resolves a run named by a person: `last` (the newest that was not pruned), an id, a name (its newest run), the name
    /// of a workflow (the newest run of it that no step has started and that was not pruned), or the unique start of an
    /// id or of an id's last group. Without a run of that name, `latest` and `newest` mean `last`.
    ///
    /// # Errors
    /// `UnknownRun`, `AmbiguousRun`.
    pub fn resolve_run(&self, text: &str) -> Result<RunId, StoreError> {
        self.query(|connection| {
            let ids = |sql: &str, values: &[&str]| collect::<RunId>(connection, sql, params_from_iter(values));
            let lower = text.to_ascii_lowercase();
            let mut found = match text {
                "last" => match ids("SELECT id FROM run WHERE pruned_at IS NULL ORDER BY id DESC LIMIT 1", &[])? {
                    found if found.is_empty() => ids("SELECT id FROM run ORDER BY id DESC LIMIT 1", &[])?,
                    found => found,
                },
                _ => ids("SELECT id FROM run WHERE id = ?1", &[&lower])?,
            };
            for sql in [
                "SELECT id FROM run WHERE name = ?1 ORDER BY id DESC LIMIT 1",
                "SELECT id FROM run WHERE workflow = ?1 AND parent_run IS NULL AND pruned_at IS NULL
                 ORDER BY id DESC LIMIT 1",
                "SELECT id FROM run WHERE workflow = ?1 AND parent_run IS NULL ORDER BY id DESC LIMIT 1",
            ] {
                if found.is_empty() {
                    found = ids(sql, &[text])?;
                }
            }
            if found.is_empty() && matches!(text, "latest" | "newest") {
                found = ids("SELECT id FROM run WHERE pruned_at IS NULL ORDER BY id DESC LIMIT 1", &[])?;
            }
            let hexadecimal = lower.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
            if found.is_empty() && !text.is_empty() && hexadecimal {
                // `g` sorts after every hexadecimal digit.
                let sql = format!(
                    "SELECT id FROM run WHERE id >= ?1 AND id < ?1 || 'g'
                     UNION SELECT id FROM run WHERE substr(id, 25) >= ?1 AND substr(id, 25) < ?1 || 'g'
                     ORDER BY id DESC LIMIT {CANDIDATES}"
                );
                found = ids(&sql, &[&lower])?;
            }
            match found.as_slice() {
                [] => Err(StoreError::UnknownRun { text: text.to_owned() }),
                [run] => Ok(*run),
                many => Err(StoreError::AmbiguousRun { text: text.to_owned(), candidates: many.to_vec() }),
            }
        })
    }

    /// The unfinished run that has this name, ignoring `except`.
    pub fn active_run_named(&self, name: &str, except: RunId) -> Result<Option<RunId>, StoreError> {
        let active = self.query(|connection| active_run_named(connection, name, Some(except)))?;
        Ok(active.map(|(run, _)| run))
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

    /// Runs that unfinished work may still query: children of an unfinished parent run, and runs with an unanswered
    /// request.
    pub fn runs_in_use(&self) -> Result<Vec<RunId>, StoreError> {
        self.query(|connection| {
            let sql = "SELECT child.id FROM run AS child JOIN run AS parent ON parent.id = child.parent_run
                       WHERE parent.status NOT IN ('succeeded', 'failed', 'canceled')
                       UNION SELECT run FROM request WHERE done_at IS NULL";
            collect(connection, sql, [])
        })
    }

    /// The run whose step started this one, then that run's parent, and so on up.
    pub fn ancestors(&self, run: RunId) -> Result<Vec<RunId>, StoreError> {
        self.query(|connection| {
            let sql = "WITH RECURSIVE above(id, height) AS (
                           SELECT parent_run, 1 FROM run WHERE id = ?1
                           UNION ALL SELECT parent_run, height + 1 FROM above CROSS JOIN run ON run.id = above.id)
                       SELECT id FROM above WHERE id IS NOT NULL ORDER BY height";
            collect(connection, sql, [run.to_string()])
        })
    }

    pub(crate) fn runs_by(&self, sql: &str, values: impl Params) -> Result<RunRows, StoreError> {
        let (mut readable, unreadable) =
            self.query(|connection| collect_readable(connection, sql, values, Unreadable::of))?;
        self.correct_status(&mut readable);
        Ok(RunRows { readable, unreadable })
    }

    /// Reports runs as interrupted if their row says `running` but no engine holds the state.
    pub(crate) fn correct_status(&self, runs: &mut [RunRow]) {
        let mut running = runs.iter_mut().filter(|run| run.status == RunStatus::Running).peekable();
        if running.peek().is_some() && EngineLock::holder(&self.state_dir).is_none() {
            running.for_each(|run| run.status = RunStatus::Interrupted);
        }
    }
}

/// The unfinished run that has this name; no other run may take it.
pub(crate) fn active_run_named(
    connection: &Connection,
    name: &str,
    except: Option<RunId>,
) -> Result<Option<(RunId, RunStatus)>, StoreError> {
    let sql = "SELECT id, status FROM run WHERE name = ?1 AND id IS NOT ?2
               AND status IN ('pending', 'running', 'interrupted', 'paused', 'canceling')";
    let except = except.map(|run| run.to_string());
    first(connection, sql, params![name, except])
}
