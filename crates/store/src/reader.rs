//! Queries on the state. Each answer is consistent in itself.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};
use serde_json::Value;

use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::ids::{RunId, StepId, StepKey};
use stepwell_base::protocol::MetricRow;
use stepwell_run::provenance::AttemptRecord;
use stepwell_run::status::{RunStatus, StepStatus};
use stepwell_workflow::spec::WorkflowSpec;

use super::connection;
use super::decode::{self, collect, first};
use super::error::StoreError;
use super::layout::DATABASE_FILE;
use super::lock::EngineLock;
use super::rows::{CheckpointRow, RunRow, RunRows, StepRow};

/// Most candidates that an ambiguous prefix lists.
const CANDIDATES: usize = 8;

/// All columns of a run except its workflow, which may be megabytes. The time of the newest event comes from the log: a
/// column for it would add a page to every commit.
pub(super) const RUNS: &str =
    "SELECT id, name, workflow, status, created_at, started_at, finished_at, failure, pause_reason,
    spec_digest, options, pruned_at, coalesce((SELECT at FROM event WHERE event.run = run.id ORDER BY seq DESC LIMIT 1),
                                   created_at) AS updated_at
    FROM run";

/// A connection for reading. Every query returns a `StoreError` when the database cannot be read; `# Errors` sections
/// list only other errors.
pub struct Reader {
    pub(super) connection: Connection,
    pub(super) state_dir: PathBuf,
}

impl Reader {
    /// Opens the state for reading only. Works while an engine writes, and on a read-only folder.
    ///
    /// # Errors
    /// `NoState` when the folder holds no state, `NewerSchema` when a newer build wrote it.
    pub fn open(state_dir: &Path) -> Result<Reader, StoreError> {
        Ok(Reader { connection: connection::read_only(state_dir)?, state_dir: state_dir.to_owned() })
    }

    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// Resolves a run named by a person: `last` (the newest), an id, a name (its newest run), or a unique prefix of an
    /// id.
    ///
    /// # Errors
    /// `UnknownRun`, `AmbiguousRun`.
    pub fn resolve_run(&self, text: &str) -> Result<RunId, StoreError> {
        self.ask(|connection| {
            let ids = |sql: &str, values: &[&str]| {
                collect(connection, sql, rusqlite::params_from_iter(values), |row| decode::parse::<RunId>(row, "id"))
            };
            let lower = text.to_ascii_lowercase();
            let mut found = match text {
                "last" => ids("SELECT id FROM run ORDER BY id DESC LIMIT 1", &[])?,
                _ => ids("SELECT id FROM run WHERE id = ?1", &[&lower])?,
            };
            if found.is_empty() {
                found = ids("SELECT id FROM run WHERE name = ?1 ORDER BY id DESC LIMIT 1", &[text])?;
            }
            let hexadecimal = lower.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
            if found.is_empty() && !text.is_empty() && hexadecimal {
                // `g` sorts after every hexadecimal digit.
                let sql =
                    format!("SELECT id FROM run WHERE id >= ?1 AND id < ?1 || 'g' ORDER BY id DESC LIMIT {CANDIDATES}");
                found = ids(&sql, &[&lower])?;
            }
            match found.as_slice() {
                [] => Err(StoreError::UnknownRun { text: text.to_owned() }),
                [run] => Ok(*run),
                many => Err(StoreError::AmbiguousRun { text: text.to_owned(), candidates: many.to_vec() }),
            }
        })
    }

    /// All runs, newest first.
    pub fn runs(&self) -> Result<RunRows, StoreError> {
        self.runs_by(&format!("{RUNS} ORDER BY run.id DESC"), [])
    }

    /// The row of one run.
    ///
    /// # Errors
    /// `UnknownRun`.
    pub fn run(&self, id: RunId) -> Result<RunRow, StoreError> {
        let found = self
            .ask(|connection| first(connection, &format!("{RUNS} WHERE run.id = ?1"), [id.to_string()], decode::run))?;
        let mut runs: Vec<RunRow> = found.into_iter().collect();
        self.correct_status(&mut runs);
        runs.pop().ok_or_else(|| StoreError::UnknownRun { text: id.to_string() })
    }

    /// The workflow that a run pinned, with its parameters.
    ///
    /// # Errors
    /// `UnknownRun`; `DamagedSpec` when it differs from the submitted workflow.
    pub fn spec(&self, id: RunId) -> Result<WorkflowSpec, StoreError> {
        let found = self.ask(|connection| {
            let sql = "SELECT id, spec, spec_digest FROM run WHERE id = ?1";
            first(connection, sql, [id.to_string()], decode::spec)
        })?;
        found.ok_or_else(|| StoreError::UnknownRun { text: id.to_string() })
    }

    /// Steps in definition order, each fan-out followed by its children. Empty for an unknown run.
    pub fn steps(&self, id: RunId) -> Result<Vec<StepRow>, StoreError> {
        self.ask(|connection| {
            let sql = decode::steps_where("run = ?1 ORDER BY position, item_index");
            let mut steps = collect(connection, &sql, [id.to_string()], step_with_values)?;
            let sql = "SELECT * FROM step_output WHERE run = ?1";
            add_outputs(&mut steps, collect(connection, sql, [id.to_string()], output)?);
            Ok(steps)
        })
    }

    /// Like [`Reader::steps`], but without the children of fan-outs that have more than `most` of them.
    pub fn overview(&self, id: RunId, most: u64) -> Result<Vec<StepRow>, StoreError> {
        self.with_children(id, "TRUE", |fan_out| match fan_out.children {
            Some(children) if children.total <= most => Some("1"),
            _ => None,
        })
    }

    /// Like [`Reader::overview`], plus the running children of larger fan-outs that have not ended.
    pub fn open_work(&self, id: RunId, most: u64) -> Result<Vec<StepRow>, StoreError> {
        self.with_children(id, "TRUE", |fan_out| match (fan_out.children, fan_out.status) {
            (Some(children), _) if children.total <= most => Some("1"),
            (Some(_), StepStatus::Expanded) => Some("status = 'running'"),
            _ => None,
        })
    }

    /// Steps that differ from those of a newly submitted run. Omits steps that wait for their needs, and children that
    /// succeeded or were skipped.
    pub fn unfinished(&self, id: RunId) -> Result<Vec<StepRow>, StoreError> {
        self.with_children(id, "status <> 'pending'", |fan_out| match (fan_out.children, fan_out.status) {
            (None, _) | (_, StepStatus::Succeeded) => None,
            _ => Some("status NOT IN ('succeeded', 'skipped')"),
        })
    }

    /// The top-level steps that satisfy `chosen`, each followed by those of its children that satisfy its `condition`.
    fn with_children(
        &self,
        id: RunId,
        chosen: &str,
        condition: impl Fn(&StepRow) -> Option<&'static str>,
    ) -> Result<Vec<StepRow>, StoreError> {
        self.ask(|connection| {
            let run = id.to_string();
            let sql = decode::steps_where(&format!("run = ?1 AND parent IS NULL AND {chosen} ORDER BY position"));
            let mut steps = Vec::new();
            for step in collect(connection, &sql, [&run], step_with_values)? {
                let (parent, condition) = (step.id.clone(), condition(&step));
                steps.push(step);
                if let Some(condition) = condition {
                    // Rows arrive mostly in order; sorting whole rows in SQLite costs as much as reading them.
                    let sql = decode::steps_where(&format!("run = ?1 AND parent = ?2 AND {condition}"));
                    let first = steps.len();
                    let key = [run.as_str(), parent.as_str()];
                    decode::collect_into(&mut steps, connection, &sql, key, step_with_values)?;
                    steps[first..].sort_by_key(|child| child.item_index);
                }
            }
            let mut outputs = Vec::new();
            for step in steps.iter().filter(|step| step.outputs.is_some()) {
                let sql = "SELECT * FROM step_output WHERE run = ?1 AND step = ?2";
                outputs.extend(collect(connection, sql, [run.as_str(), step.id.as_str()], output)?);
            }
            add_outputs(&mut steps, outputs);
            Ok(steps)
        })
    }

    /// Outputs of a fan-out's succeeded children, keyed by item index.
    pub fn child_outputs(&self, run: RunId, parent: &StepId) -> Result<BTreeMap<usize, Outputs>, StoreError> {
        self.ask(|connection| {
            let run = run.to_string();
            let key = [run.as_str(), parent.as_str()];
            let sql = "SELECT id, item_index, output_values FROM step
                       WHERE run = ?1 AND parent = ?2 AND status = 'succeeded'";
            let children = collect(connection, sql, key, |row| {
                let index: i64 = decode::get(row, "item_index")?;
                let values = decode::maybe_json(row, "output_values")?.unwrap_or_default();
                let id = StepId(decode::get(row, "id")?);
                Ok((id, (usize::try_from(index).unwrap_or_default(), Outputs { values, ..Outputs::default() })))
            })?;
            let mut children: HashMap<StepId, (usize, Outputs)> = children.into_iter().collect();
            let sql = "SELECT step_output.* FROM step JOIN step_output ON step_output.run = step.run AND step = id
                       WHERE step.run = ?1 AND parent = ?2";
            for (step, name, artifact) in collect(connection, sql, key, output)? {
                if let Some((_, outputs)) = children.get_mut(&step) {
                    outputs.artifacts.insert(name, artifact);
                }
            }
            Ok(children.into_values().collect())
        })
    }

    /// The status of a step; `None` for an unknown one.
    pub fn step_status(&self, run: RunId, id: &StepId) -> Result<Option<StepStatus>, StoreError> {
        let sql = "SELECT status FROM step WHERE run = ?1 AND id = ?2";
        self.ask(|connection| {
            first(connection, sql, params![run.to_string(), id.as_str()], |row| decode::parse(row, "status"))
        })
    }

    /// The first attempt of a step with its current key; `None` before any attempt.
    pub fn first_attempt_with_key(&self, run: RunId, id: &StepId) -> Result<Option<u32>, StoreError> {
        let sql = "SELECT key_since FROM step WHERE run = ?1 AND id = ?2";
        self.ask(|connection| {
            let found = first(connection, sql, params![run.to_string(), id.as_str()], |row| {
                decode::get::<Option<u32>>(row, "key_since")
            })?;
            Ok(found.flatten())
        })
    }

    /// One step with its outputs.
    ///
    /// # Errors
    /// `UnknownStep`.
    pub fn step(&self, run: RunId, id: &StepId) -> Result<StepRow, StoreError> {
        let found = self.find_step(run, id)?;
        found.ok_or_else(|| StoreError::UnknownStep { run, step: id.clone() })
    }

    /// Like [`Reader::step`], for a run that may not have the step.
    pub fn find_step(&self, run: RunId, id: &StepId) -> Result<Option<StepRow>, StoreError> {
        self.ask(|connection| load_step(connection, run, id))
    }

    /// Committed checkpoints that were not rewound, newest first.
    pub fn checkpoints(&self, run: RunId, step: &StepId) -> Result<Vec<CheckpointRow>, StoreError> {
        self.ask(|connection| {
            let sql = "SELECT * FROM checkpoint WHERE run = ?1 AND step = ?2 ORDER BY seq DESC";
            collect(connection, sql, params![run.to_string(), step.as_str()], decode::checkpoint)
        })
    }

    /// Metrics of training steps after `after_step`, in order.
    pub fn metrics(&self, run: RunId, step: &StepId, after_step: u64) -> Result<Vec<MetricRow>, StoreError> {
        self.ask(|connection| {
            let sql = "SELECT * FROM metric WHERE run = ?1 AND step = ?2 AND train_step > ?3 ORDER BY train_step";
            let after = i64::try_from(after_step).unwrap_or(i64::MAX);
            collect(connection, sql, params![run.to_string(), step.as_str(), after], decode::metric)
        })
    }

    /// Step outputs, sorted by run (newest first), step and name; of one run or of all.
    pub fn artifacts(&self, run: Option<RunId>) -> Result<Vec<(StepId, String, ArtifactRef)>, StoreError> {
        self.ask(|connection| {
            let sql = "SELECT step_output.* FROM step_output JOIN step ON step.run = step_output.run AND step.id = step
                       WHERE ?1 IS NULL OR step_output.run = ?1
                       ORDER BY step_output.run DESC, position, item_index, name";
            collect(connection, sql, [run.map(|run| run.to_string())], output)
        })
    }

    /// The attempts of a step, oldest first.
    pub fn attempts(&self, run: RunId, step: &StepId) -> Result<Vec<AttemptRecord>, StoreError> {
        self.ask(|connection| {
            let sql = "SELECT * FROM attempt WHERE run = ?1 AND step = ?2 ORDER BY attempt";
            collect(connection, sql, params![run.to_string(), step.as_str()], |row| {
                Ok(AttemptRecord {
                    attempt: decode::get(row, "attempt")?,
                    status: decode::get(row, "status")?,
                    started_at: decode::get(row, "started_at")?,
                    finished_at: decode::get(row, "finished_at")?,
                    reason: decode::get(row, "reason")?,
                    environment: decode::get(row, "environment")?,
                })
            })
        })
    }

    /// The build and machine that attempts ran on, by the digest in their rows.
    pub fn environment(&self, digest: &str) -> Result<Option<Value>, StoreError> {
        let sql = "SELECT body FROM environment WHERE digest = ?1";
        self.ask(|connection| first(connection, sql, [digest], |row| decode::json(row, "body")))
    }

    /// Passes the resolved arguments of every step to `see`, one step at a time. They name the content that each step
    /// reads.
    pub fn each_arguments(&self, mut see: impl FnMut(RunId, &Value)) -> Result<(), StoreError> {
        self.ask(|connection| {
            let mut statement = connection.prepare("SELECT run, arguments FROM step WHERE arguments IS NOT NULL")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                see(decode::parse(row, "run")?, &decode::json(row, "arguments")?);
            }
            Ok(())
        })
    }

    /// Runs that unfinished work may still query: children of an unfinished parent run, and runs with an unanswered
    /// request.
    pub fn runs_in_use(&self) -> Result<Vec<RunId>, StoreError> {
        self.ask(|connection| {
            let sql = "SELECT child.id FROM run AS child JOIN run AS parent ON parent.id = child.parent_run
                       WHERE parent.status NOT IN ('succeeded', 'failed', 'canceled')
                       UNION SELECT run FROM request WHERE done_at IS NULL";
            collect(connection, sql, [], |row| decode::parse(row, "id"))
        })
    }

    /// Any step that the tables show as running.
    pub fn leased_step(&self) -> Result<Option<(RunId, StepId)>, StoreError> {
        self.ask(|connection| {
            first(connection, "SELECT run, id FROM step WHERE status = 'running' LIMIT 1", [], |row| {
                Ok((decode::parse(row, "run")?, StepId(decode::get(row, "id")?)))
            })
        })
    }

    /// True if the tables show a running attempt of the run.
    pub fn has_lease(&self, run: RunId) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM step WHERE run = ?1 AND status = 'running' LIMIT 1";
        self.ask(|connection| Ok(first(connection, sql, [run.to_string()], |_| Ok(()))?.is_some()))
    }

    /// The newest earlier run of a workflow whose same step resolved its arguments, and that step.
    pub fn previous_step(
        &self,
        workflow: &str,
        step: &StepId,
        before: RunId,
    ) -> Result<Option<(RunId, StepRow)>, StoreError> {
        self.ask(|connection| {
            let sql = "SELECT run.id FROM run JOIN step ON step.run = run.id
                       WHERE run.workflow = ?1 AND run.id < ?2 AND step.id = ?3 AND step.key IS NOT NULL
                       ORDER BY run.id DESC LIMIT 1";
            let found = first(connection, sql, params![workflow, before.to_string(), step.as_str()], |row| {
                decode::parse::<RunId>(row, "id")
            })?;
            let Some(run) = found else { return Ok(None) };
            Ok(load_step(connection, run, step)?.map(|row| (run, row)))
        })
    }

    /// The newest succeeded step with an equal key, and its outputs.
    pub fn find_reusable(&self, key: &StepKey) -> Result<Option<(RunId, Outputs)>, StoreError> {
        self.ask(|connection| {
            let sql = "SELECT run, id FROM step WHERE key = ?1 AND key IS NOT NULL AND status = 'succeeded' AND kind <> 'noop'
                       ORDER BY run DESC LIMIT 1";
            let found = first(connection, sql, [&key.0], |row| {
                Ok((decode::parse::<RunId>(row, "run")?, StepId(decode::get(row, "id")?)))
            })?;
            let Some((run, id)) = found else { return Ok(None) };
            Ok(load_step(connection, run, &id)?.and_then(|step| step.outputs).map(|outputs| (run, outputs)))
        })
    }

    /// Reports runs as interrupted if their row says `running` but no engine holds the state.
    pub(super) fn correct_status(&self, runs: &mut [RunRow]) {
        let mut running = runs.iter_mut().filter(|run| run.status == RunStatus::Running).peekable();
        if running.peek().is_some() && EngineLock::holder(&self.state_dir).is_none() {
            running.for_each(|run| run.status = RunStatus::Interrupted);
        }
    }

    /// Runs a query in one read transaction: its own, or the one that the caller holds.
    pub(super) fn ask<T>(&self, question: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let ask = || {
            if !self.connection.is_autocommit() {
                return question(&self.connection);
            }
            let snapshot = self.connection.unchecked_transaction()?;
            question(&snapshot)
        };
        ask().map_err(|error: StoreError| error.at(&self.state_dir.join(DATABASE_FILE)))
    }
}

fn add_outputs(steps: &mut [StepRow], stored: Vec<(StepId, String, ArtifactRef)>) {
    let mut by_step: HashMap<StepId, Outputs> = HashMap::new();
    for (step, name, artifact) in stored {
        by_step.entry(step).or_default().artifacts.insert(name, artifact);
    }
    for step in steps {
        if let (Some(outputs), Some(stored)) = (&mut step.outputs, by_step.remove(&step.id)) {
            outputs.artifacts = stored.artifacts;
        }
    }
}

fn load_step(connection: &Connection, run: RunId, id: &StepId) -> Result<Option<StepRow>, StoreError> {
    let key = params![run.to_string(), id.as_str()];
    let sql = decode::steps_where("run = ?1 AND id = ?2");
    let Some(mut step) = first(connection, &sql, key, step_with_values)? else { return Ok(None) };
    let sql = "SELECT * FROM step_output WHERE run = ?1 AND step = ?2";
    let stored = collect(connection, sql, key, output)?;
    if let Some(outputs) = &mut step.outputs {
        outputs.artifacts = stored.into_iter().map(|(_, name, artifact)| (name, artifact)).collect();
    }
    Ok(Some(step))
}

/// Decodes a step and its output values; the caller adds the artifacts.
fn step_with_values(row: &rusqlite::Row<'_>) -> Result<StepRow, StoreError> {
    let mut step = decode::step(row)?;
    if step.status == StepStatus::Succeeded {
        let values = decode::output_values(row)?;
        step.outputs = Some(Outputs { values, ..Outputs::default() });
    }
    Ok(step)
}

fn output(row: &rusqlite::Row<'_>) -> Result<(StepId, String, ArtifactRef), StoreError> {
    Ok((StepId(decode::get(row, "step")?), decode::get(row, "name")?, decode::artifact(row)?))
}
