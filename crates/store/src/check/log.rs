//! Checks the event log.

use std::collections::BTreeMap;

use rusqlite::Connection;

use stepwell_base::ids::RunId;
use stepwell_workflow::spec::WorkflowSpec;

use super::findings::Findings;
use super::replay::RunReplay;
use crate::decode::{Columns, FromRow, columns, first};
use crate::error::StoreError;
use crate::integrity::chain::{self, GENESIS};
use crate::rows::{EventColumns, EventRow};

columns! {
    struct Hashed { seq, run, at, kind, step, payload, hash }
}

/// Walks the log once: checks numbers and hashes, and replays every run.
pub(super) fn check_log(
    connection: &Connection,
    findings: &mut Findings,
) -> Result<BTreeMap<RunId, RunReplay>, StoreError> {
    let mut runs = BTreeMap::new();
    let mut previous = (0, GENESIS.to_owned());
    let mut statement = connection.prepare("SELECT * FROM event ORDER BY seq")?;
    let (columns, event) = (Hashed::find(&statement)?, EventColumns::find(&statement)?);
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let seq: i64 = columns.seq.get(row)?;
        let (run, at, payload) = (columns.run.text(row)?, columns.at.text(row)?, columns.payload.text(row)?);
        let stored: String = columns.hash.get(row)?;
        if seq != previous.0 + 1 {
            findings.add(format!("event log: event {} is missing", previous.0 + 1));
        }
        if chain::hash(&previous.1, seq, run, at, payload) != stored {
            findings.add(format!("event log: event {seq} of run {run} does not match its hash: it was changed"));
        }
        previous = (seq, stored);
        match EventRow::from_row(row, &event) {
            Err(error) => findings.add(format!("event log: event {seq} of run {run} is unreadable: {error}")),
            Ok(found) => {
                let kind = columns.kind.text(row)?;
                let step: Option<String> = columns.step.get(row)?;
                let tagged = serde_json::to_value(&found.event).unwrap_or_default();
                if tagged["type"] != kind || step.as_deref() != found.event.step().map(|s| s.as_str()) {
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
    found: &EventRow,
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
    match first::<WorkflowSpec>(connection, sql, [run.to_string()]) {
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
