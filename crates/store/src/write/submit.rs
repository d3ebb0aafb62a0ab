//! Submits runs.

use rusqlite::{Connection, Transaction, params};

use stepwell_base::ids::RunId;
use stepwell_base::json::{self, Limit};
use stepwell_run::event::{Event, Recorded, RunEvent, StepEventKind};
use stepwell_run::run_options::Origin;
use stepwell_workflow::spec::{StepSpec, WorkflowSpec};

use super::project::project;
use super::tally::Tally;
use crate::batch::{Adoption, NewRun, Submitted};
use crate::decode::{Json, exists, first, time_text};
use crate::error::StoreError;
use crate::integrity::head::Head;
use crate::read::runs::active_run_named;
use crate::rows::Pinned;

pub(super) fn submit(transaction: &Transaction<'_>, head: &mut Head, run: &NewRun) -> Result<Submitted, StoreError> {
    if let Some(existing) = submitted_before(transaction, run)? {
        return Ok(Submitted::Existing(existing));
    }
    if let Some((active, status)) = active_run_named(transaction, run.name.as_str(), None)? {
        return Err(StoreError::NameActive { name: run.name.to_string(), run: active, status });
    }
    let event = Event::Run(RunEvent::Submitted {
        name: run.name.to_string(),
        workflow: run.spec.name.clone(),
        spec_digest: run.spec_digest.clone(),
        idempotency_key: run.idempotency_key.clone(),
        options: run.options.clone(),
    });
    let pinned = Pinned { spec: Json(&run.spec).text()?, idempotency_key: None };
    insert(transaction, head, &Recorded { run: run.id, at: run.at, event }, &pinned)?;
    let mut tally = Tally::default();
    for step in run.spec.steps.iter().filter(|step| step.needs.is_empty()) {
        let event = StepEventKind::Ready { not_before: run.at }.of(step.id.clone());
        project(transaction, head, &mut tally, &Recorded { run: run.id, at: run.at, event })?;
    }
    tally.write(transaction)?;
    Ok(Submitted::New)
}

/// Submits a run and adopts a checkpoint of another run. The other run keeps the checkpoint's files until this
/// transaction; from its commit on, this run keeps them too.
pub(super) fn submit_fork(
    transaction: &Transaction<'_>,
    head: &mut Head,
    run: &NewRun,
    adoption: &Adoption,
) -> Result<Submitted, StoreError> {
    let Adoption { step, from, checkpoint } = adoption;
    let submitted = submit(transaction, head, run)?;
    if submitted != Submitted::New {
        return Ok(submitted);
    }
    let sql = "SELECT 1 FROM checkpoint WHERE run = ?1 AND step = ?2 AND last_step IS ?3 AND digest IS ?4 LIMIT 1";
    let last_step = checkpoint.last_step.map(u64::cast_signed);
    let digest = checkpoint.artifact.as_ref().map(|artifact| artifact.digest.as_str());
    if !exists(transaction, sql, params![from.to_string(), step.as_str(), last_step, digest])? {
        return Err(StoreError::CheckpointGone { run: *from, step: step.clone() });
    }
    let event = StepEventKind::CheckpointAdopted { from: *from, checkpoint: checkpoint.clone() }.of(step.clone());
    let mut tally = Tally::default();
    project(transaction, head, &mut tally, &Recorded { run: run.id, at: run.at, event })?;
    tally.write(transaction)?;
    Ok(submitted)
}

/// Appends `RunSubmitted` to the log and inserts the rows of the run and its steps.
pub(crate) fn insert(
    connection: &Connection,
    head: &mut Head,
    recorded: &Recorded,
    pinned: &Pinned,
) -> Result<(), StoreError> {
    let Event::Run(RunEvent::Submitted { name, workflow, spec_digest, idempotency_key, options }) = &recorded.event
    else {
        return Err(StoreError::undecodable("a run does not start with `run_submitted`"));
    };
    let spec = &pinned.spec;
    let key = idempotency_key.as_ref().or(pinned.idempotency_key.as_ref());
    let (run, at) = (recorded.run.to_string(), time_text(recorded.at));
    let parent = match &options.origin {
        Some(Origin::Child { run, .. }) => Some(run.to_string()),
        _ => None,
    };
    connection.execute(
        "INSERT INTO run (id, name, workflow, status, created_at, idempotency_key, spec_digest, spec, options, parent_run)
         VALUES (?1, ?2, ?3, 'pending', ?4, ?5, ?6, ?7, ?8, ?9)",
        params![run, name, workflow, at, key, spec_digest, spec, Json(options), parent],
    )?;
    head.append(connection, recorded)?;
    let spec: WorkflowSpec = json::parse(spec.as_bytes(), Limit::STORED)
        .map_err(|error| StoreError::undecodable(format!("the workflow of run {run}: {error}")))?;
    let sql = "INSERT INTO run_tally (run, top, total, done, failed) VALUES (?1, ?2, ?2, 0, 0)";
    connection.prepare_cached(sql)?.execute(params![run, spec.steps.len() as i64])?;
    for (position, step) in spec.steps.iter().enumerate() {
        insert_step(connection, recorded.run, position, step)?;
    }
    Ok(())
}

fn submitted_before(connection: &Connection, run: &NewRun) -> Result<Option<RunId>, StoreError> {
    let Some(key) = &run.idempotency_key else { return Ok(None) };
    first(connection, "SELECT id FROM run WHERE idempotency_key = ?1", [key])
}

fn insert_step(connection: &Connection, run: RunId, position: usize, step: &StepSpec) -> Result<(), StoreError> {
    let sql = "INSERT INTO step (run, id, position, kind, status, needs) VALUES (?1, ?2, ?3, ?4, 'pending', ?5)";
    let values = params![run.to_string(), step.id.as_str(), position as i64, step.kind, Json(&step.needs)];
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}
