//! Looks for damage in the file, in the hash chain, and between the log and the tables.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use rusqlite::Connection;

use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::ids::{RunId, StepId};
use stepwell_run::status::step_of;

use super::chain::{self, GENESIS};
use super::connection::check_head;
use super::decode;
use super::error::StoreError;
use super::head;
use super::layout::{BACKUPS_DIR, DATABASE_FILE};
use super::metrics;
use super::reader::Reader;
use super::rebuild;
use super::replay::{CheckpointReplay, RunReplay, SignalReplay, StepReplay};
use super::rows::{RunRow, RunRows, StepRow, Unreadable};
use super::seal;

/// One finding of `check`, described for a person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    pub what: String,
    pub hint: String,
}

/// Checks the whole database of a state directory: `integrity_check`, foreign keys, the hash chain of the event log,
/// its head outside the database, and the tables against the log. The artifact store checks the contents of artifacts.
///
/// # Errors
/// Any error that prevents opening or reading the database at all.
pub fn check(state_dir: &Path) -> Result<Vec<Problem>, StoreError> {
    // Read before the database, which may grow in the meantime but must never lose the event that the head names.
    let recorded = head::read(state_dir)?;
    let reader = Reader::open(state_dir)?;
    let mut findings = Findings { problems: Vec::new(), backups: state_dir.join(BACKUPS_DIR).display().to_string() };
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

struct Findings {
    problems: Vec<Problem>,
    backups: String,
}

impl Findings {
    fn add(&mut self, what: impl Into<String>) {
        let hint = format!(
            "restore the database from a backup with `stepwell db restore BACKUP` (migrations leave some in `{}`)",
            self.backups
        );
        self.problems.push(Problem { what: what.into(), hint });
    }
}

fn check_file(connection: &Connection, findings: &mut Findings) -> Result<(), StoreError> {
    for line in decode::collect(connection, "PRAGMA integrity_check", [], |row| Ok(row.get::<_, String>(0)?))? {
        if line != "ok" {
            findings.add(format!("integrity check: {line}"));
        }
    }
    let broken = decode::collect(connection, "PRAGMA foreign_key_check", [], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, Option<i64>>(1)?, row.get::<_, String>(2)?))
    })?;
    for (table, row, parent) in broken {
        let row = row.map_or_else(String::new, |row| format!(" row {row}"));
        findings.add(format!("foreign key: table `{table}`{row} refers to a missing row of `{parent}`"));
    }
    Ok(())
}

/// Checks data that no event records.
fn check_unlogged(connection: &Connection, findings: &mut Findings) -> Result<(), StoreError> {
    if !seal::is_intact(connection)? {
        findings.add("requests, schedules, environments or `meta` are not what was written");
    }
    // An attempt ends before its start when the clock was set back between two engines.
    let sql = "SELECT run, step, attempt FROM attempt WHERE compute_ms < 0 OR compute_ms >
                   max(0, round(86400000 * (julianday(finished_at) - julianday(started_at)))) + 1";
    let impossible = decode::collect(connection, sql, [], |row| {
        Ok((
            decode::get::<String>(row, "run")?,
            decode::get::<String>(row, "step")?,
            decode::get::<i64>(row, "attempt")?,
        ))
    })?;
    for (run, step, attempt) in impossible {
        findings.add(format!("run {run}: step `{step}`: attempt {attempt} has worked for longer than it took"));
    }
    check_sums(connection, findings)?;
    for damaged in metrics::damaged(connection)? {
        findings.add(damaged.to_string());
    }
    Ok(())
}

/// Compares the work sums in the rows of steps and fan-outs with their attempts and children.
fn check_sums(connection: &Connection, findings: &mut Findings) -> Result<(), StoreError> {
    let sql = "SELECT run, id FROM step
               WHERE compute_ms <> (SELECT coalesce(sum(attempt.compute_ms), 0) FROM attempt
                                    WHERE attempt.run = step.run AND attempt.step = step.id)
                                 + (SELECT coalesce(sum(child.compute_ms), 0) FROM step AS child
                                    WHERE child.run = step.run AND child.parent = step.id)
                  OR (children_timed, children_timed_ms) <>
                     (SELECT count(*), coalesce(sum(child.compute_ms), 0) FROM step AS child
                      WHERE child.run = step.run AND child.parent = step.id AND child.status = 'succeeded'
                            AND child.attempts > 0)";
    let wrong = decode::collect(connection, sql, [], |row| {
        Ok((decode::get::<String>(row, "run")?, decode::get::<String>(row, "id")?))
    })?;
    for (run, step) in wrong {
        findings.add(format!("run {run}: step `{step}`: its work is not the sum of that of its attempts"));
    }
    Ok(())
}

/// Walks the log once: checks numbers and hashes, and replays every run.
fn check_log(connection: &Connection, findings: &mut Findings) -> Result<BTreeMap<RunId, RunReplay>, StoreError> {
    let mut runs = BTreeMap::new();
    let mut previous = (0, GENESIS.to_owned());
    let mut statement = connection.prepare("SELECT * FROM event ORDER BY seq")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get("seq")?;
        let (run, at, payload): (String, String, String) = (row.get("run")?, row.get("at")?, row.get("payload")?);
        let stored: String = row.get("hash")?;
        if seq != previous.0 + 1 {
            findings.add(format!("event log: event {} is missing", previous.0 + 1));
        }
        if chain::hash(&previous.1, seq, &run, &at, &payload) != stored {
            findings.add(format!("event log: event {seq} of run {run} does not match its hash: it was changed"));
        }
        previous = (seq, stored);
        match decode::event(row) {
            Err(error) => findings.add(format!("event log: event {seq} of run {run} is unreadable: {error}")),
            Ok(found) => {
                let kind: String = row.get("kind")?;
                let step: Option<String> = row.get("step")?;
                let tagged = serde_json::to_value(&found.event).unwrap_or_default();
                if tagged["type"] != kind.as_str() || step.as_deref() != step_of(&found.event).map(|s| s.as_str()) {
                    findings.add(format!("event log: event {seq} has another kind or step than its payload"));
                }
                replay(connection, &mut runs, &found, findings)?;
            }
        }
    }
    Ok(runs)
}

fn replay(
    connection: &Connection,
    runs: &mut BTreeMap<RunId, RunReplay>,
    found: &super::rows::EventRow,
    findings: &mut Findings,
) -> Result<(), StoreError> {
    let (run, seq) = (found.run, found.seq);
    if let Some(replayed) = runs.get_mut(&run) {
        if let Err(reason) = replayed.apply(seq, &found.event) {
            findings.add(format!("event log: event {seq} of run {run} is impossible: {reason}"));
        }
        return Ok(());
    }
    let sql = "SELECT id, spec, spec_digest FROM run WHERE id = ?1";
    let spec = decode::first(connection, sql, [run.to_string()], decode::spec);
    match spec {
        Ok(Some(spec)) => match RunReplay::submitted(&found.event, &spec) {
            Some(replayed) => drop(runs.insert(run, replayed)),
            None => findings.add(format!("event log: run {run} does not start with `run_submitted`")),
        },
        Ok(None) => findings.add(format!("event log: event {seq} is of run {run}, which has no row")),
        Err(error @ StoreError::DamagedSpec { .. }) => findings.add(error.to_string()),
        Err(error) => findings.add(format!("run {run}: its workflow is unreadable: {error}")),
    }
    Ok(())
}

fn check_tables(
    reader: &Reader,
    replayed: &BTreeMap<RunId, RunReplay>,
    findings: &mut Findings,
) -> Result<(), StoreError> {
    let RunRows { readable, unreadable } = reader.runs()?;
    for Unreadable { id, why, .. } in unreadable {
        findings.add(format!("run {id}: {why}"));
    }
    for row in readable {
        let Some(run) = replayed.get(&row.id) else {
            findings.add(format!("run {} has no events", row.id));
            continue;
        };
        for difference in run_differences(&row, run) {
            findings.add(format!("run {}: {difference}", row.id));
        }
        match wait_differences(reader, &row, run) {
            Ok(differences) => {
                differences.into_iter().for_each(|what| findings.add(format!("run {}: {what}", row.id)));
            }
            Err(error) => findings.add(format!("run {}: {error}", row.id)),
        }
        match (reader.steps(row.id), checkpoints_by_step(&reader.connection, row.id)) {
            (Ok(steps), Ok(checkpoints)) => check_steps(row.id, &steps, &checkpoints, run, findings),
            (Err(error), _) | (_, Err(error)) => findings.add(format!("run {}: {error}", row.id)),
        }
    }
    Ok(())
}

/// Checkpoints of each step, oldest first.
type Checkpoints = HashMap<StepId, Vec<CheckpointReplay>>;

fn checkpoints_by_step(connection: &Connection, run: RunId) -> Result<Checkpoints, StoreError> {
    let sql = "SELECT * FROM checkpoint WHERE run = ?1 ORDER BY seq";
    let rows = decode::collect(connection, sql, [run.to_string()], |row| {
        let found = decode::checkpoint(row)?;
        let Checkpoint { last_step, permanent, .. } = found.checkpoint;
        Ok((StepId(decode::get(row, "step")?), CheckpointReplay { seq: found.seq, last_step, permanent }))
    })?;
    let mut by_step = Checkpoints::new();
    for (step, checkpoint) in rows {
        by_step.entry(step).or_default().push(checkpoint);
    }
    Ok(by_step)
}

fn check_steps(run: RunId, steps: &[StepRow], checkpoints: &Checkpoints, log: &RunReplay, findings: &mut Findings) {
    let present: HashSet<&StepId> = steps.iter().map(|step| &step.id).collect();
    for id in log.steps.keys().filter(|id| !present.contains(id)) {
        findings.add(format!("run {run}: step `{id}` has events but no row"));
    }
    for step in steps {
        let Some(expected) = log.steps.get(&step.id) else {
            findings.add(format!("run {run}: step `{}` has a row but no event made it", step.id));
            continue;
        };
        let stored = checkpoints.get(&step.id).map_or(&[][..], Vec::as_slice);
        for difference in step_differences(step, stored, expected) {
            findings.add(format!("run {run}: step `{}`: {difference}", step.id));
        }
    }
}

fn run_differences(row: &RunRow, run: &RunReplay) -> Vec<String> {
    let pairs = [
        ("status", row.stored_status.to_string(), run.status.to_string()),
        ("name", row.name.clone(), run.name.clone()),
        ("workflow", row.workflow.clone(), run.workflow.clone()),
        ("spec_digest", row.spec_digest.clone(), run.spec_digest.clone()),
    ];
    describe(pairs)
}

fn wait_differences(reader: &Reader, row: &RunRow, run: &RunReplay) -> Result<Vec<String>, StoreError> {
    let decisions: Vec<_> = reader.decisions(row.id)?.into_iter().map(|row| (row.seq, row.ruling.verdict)).collect();
    let signals = reader.signals(row.id)?.into_iter();
    let signals: Vec<_> =
        signals.map(|row| SignalReplay { seq: row.seq, name: row.signal.name, taken_by: row.taken_by }).collect();
    let pairs = [
        ("decisions", format!("{decisions:?}"), format!("{:?}", run.decisions)),
        ("signals", format!("{signals:?}"), format!("{:?}", run.signals)),
    ];
    Ok(describe(pairs))
}

fn step_differences(row: &StepRow, checkpoints: &[CheckpointReplay], step: &StepReplay) -> Vec<String> {
    let shown = |value: &dyn std::fmt::Debug| format!("{value:?}");
    let pairs = [
        ("status", row.status.to_string(), step.status.to_string()),
        ("fence", row.fence.0.to_string(), step.fence.0.to_string()),
        ("attempts", row.attempts.to_string(), step.attempts.to_string()),
        ("retries_used", row.retries_used.to_string(), step.retries_used.to_string()),
        ("outputs", shown(&row.outputs), shown(&step.outputs)),
        ("checkpoints", shown(&checkpoints), shown(&step.checkpoints)),
    ];
    describe(pairs)
}

fn describe<const N: usize>(pairs: [(&str, String, String); N]) -> Vec<String> {
    let different = pairs.into_iter().filter(|(_, stored, expected)| stored != expected);
    different.map(|(what, stored, expected)| format!("{what} is {stored}, the log says {expected}")).collect()
}
