//! A run enters the state.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::core::event::{Event, Recorded};
use crate::core::ids::RunId;
use crate::core::run_options::Origin;
use crate::core::spec::StepSpec;

use super::apply::apply;
use super::batch::{NewRun, Submitted};
use super::decode::{json_text, time_text};
use super::error::StoreError;
use super::head::Head;
use super::writer::active_run_named;

pub(super) fn submit(transaction: &Transaction<'_>, head: &mut Head, run: &NewRun) -> Result<Submitted, StoreError> {
    if let Some(existing) = submitted_before(transaction, run)? {
        return Ok(Submitted::Existing(existing));
    }
    if let Some((active, status)) = active_run_named(transaction, &run.name, None)? {
        return Err(StoreError::NameActive { name: run.name.clone(), run: active, status });
    }
    let at = time_text(run.at);
    let parent = match &run.options.origin {
        Some(Origin::Child { run, .. }) => Some(run.to_string()),
        _ => None,
    };
    transaction.execute(
        "INSERT INTO run (id, name, workflow, status, created_at, updated_at, idempotency_key, spec_digest, spec, options,
                          parent_run)
         VALUES (?1, ?2, ?3, 'pending', ?4, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            run.id.to_string(),
            run.name,
            run.spec.name,
            at,
            run.idempotency_key,
            run.spec_digest,
            json_text(&run.spec)?,
            json_text(&run.options)?,
            parent
        ],
    )?;
    let event = Event::RunSubmitted {
        name: run.name.clone(),
        workflow: run.spec.name.clone(),
        spec_digest: run.spec_digest.clone(),
        options: run.options.clone(),
    };
    head.append(transaction, &Recorded { run: run.id, at: run.at, event })?;
    for (position, step) in run.spec.steps.iter().enumerate() {
        insert_step(transaction, run.id, position, step)?;
    }
    for step in run.spec.steps.iter().filter(|step| step.needs.is_empty()) {
        let event = Event::StepReady { step: step.id.clone(), not_before: run.at };
        apply(transaction, head, &Recorded { run: run.id, at: run.at, event })?;
    }
    Ok(Submitted::New)
}

fn submitted_before(connection: &Connection, run: &NewRun) -> Result<Option<RunId>, StoreError> {
    let Some(key) = &run.idempotency_key else { return Ok(None) };
    let sql = "SELECT id FROM run WHERE idempotency_key = ?1";
    let id: Option<String> = connection.query_row(sql, [key], |row| row.get(0)).optional()?;
    id.map(|id| id.parse().map_err(|error| StoreError::undecodable(format!("run id `{id}`: {error}")))).transpose()
}

fn insert_step(connection: &Connection, run: RunId, position: usize, step: &StepSpec) -> Result<(), StoreError> {
    let sql = "INSERT INTO step (run, id, position, kind, status, needs) VALUES (?1, ?2, ?3, ?4, 'pending', ?5)";
    let needs = json_text(&step.needs)?;
    let values = params![run.to_string(), step.id.as_str(), position as i64, step.kind, needs];
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}
