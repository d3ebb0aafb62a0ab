//! Compares the tables with a replay of the log.

use std::collections::{BTreeMap, HashMap, HashSet};

use rusqlite::Connection;

use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::ids::{RunId, StepId};

use super::findings::Findings;
use super::replay::{CheckpointReplay, RunReplay, SignalReplay, StepReplay};
use crate::decode::collect;
use crate::error::StoreError;
use crate::read::reader::Reader;
use crate::rows::{CheckpointOf, CheckpointRow, RunRow, RunRows, StepRow, Unreadable};

/// Compares the rows of runs and steps with what the log says.
pub(super) fn check_tables(
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
    let mut by_step = Checkpoints::new();
    for CheckpointOf { step, row: CheckpointRow { seq, checkpoint, .. } } in
        collect(connection, sql, [run.to_string()])?
    {
        let Checkpoint { last_step, permanent, best, .. } = checkpoint;
        by_step.entry(step).or_default().push(CheckpointReplay { seq, last_step, permanent, best });
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
