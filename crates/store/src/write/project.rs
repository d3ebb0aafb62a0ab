//! Projects one event: checks its fence and its transition, appends it to the log, and changes the tables.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use stepwell_base::ids::{Fence, StepId};
use stepwell_run::event::{Event, Recorded};
use stepwell_run::status::{self, RunStatus, StepStatus, Transition};

use super::step_projection::{StepProjection, compute_ms, execute, illegal};
use super::tally::{ChildChange, Tally};
use super::{prune, signals};
use crate::decode::{Json, first, time_text};
use crate::error::StoreError;
use crate::integrity::head::Head;
use crate::read::runs::active_run_named;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Projected {
    Done,
    /// The event's fence no longer holds: nothing was changed or logged.
    Stale,
}

/// Projects one event. Changes to fan-out counters accumulate in `tally`; the caller writes it at the end of the
/// transaction.
pub(super) fn project(
    connection: &Connection,
    head: &mut Head,
    tally: &mut Tally,
    recorded: &Recorded,
) -> Result<Projected, StoreError> {
    match status::step_of(&recorded.event) {
        Some(step) => project_step(connection, head, tally, recorded, step),
        None => project_run(connection, head, recorded),
    }
}

fn project_run(connection: &Connection, head: &mut Head, recorded: &Recorded) -> Result<Projected, StoreError> {
    let Recorded { run, at, event } = recorded;
    let sql = "SELECT name, status, pruned_at FROM run WHERE id = ?1";
    let found: Option<(String, RunStatus, Option<String>)> = first(connection, sql, [run.to_string()])?;
    let (name, before, pruned) = found.ok_or_else(|| StoreError::UnknownRun { text: run.to_string() })?;
    if pruned.is_some() {
        return Err(illegal(recorded, "the run, which was pruned,".to_owned(), before.as_str()));
    }
    let after = match before.after(event) {
        Transition::Keep => before,
        Transition::To(next) => next,
        Transition::Illegal => return Err(illegal(recorded, "the run".to_owned(), before.as_str())),
    };
    if before.is_terminal()
        && after.is_active()
        && let Some((active, status)) = active_run_named(connection, &name, Some(*run))?
    {
        return Err(StoreError::NameActive { name, run: active, status });
    }
    let seq = head.append(connection, recorded)?;
    if let Event::SignalReceived { name, payload } = event {
        let sql = "INSERT INTO signal (seq, run, name, payload) VALUES (?1, ?2, ?3, ?4)";
        execute(connection, sql, params![seq, run.to_string(), name, Json(payload)])?;
    }
    if *event == Event::RunPruned {
        prune::remove_run(connection, *run, &time_text(*at))?;
        return Ok(Projected::Done);
    }
    let failure = match event {
        Event::RunFailed { failure, .. } => Some(Json(failure)),
        _ => None,
    };
    let pause_reason = match event {
        Event::RunPaused { reason, .. } => Some(reason.as_str()),
        _ => None,
    };
    let sql = "UPDATE run SET status = ?2, failure = ?3, pause_reason = CASE WHEN ?2 = 'paused' THEN coalesce(?5, pause_reason) END,
                   started_at = CASE WHEN ?2 = 'running' THEN coalesce(started_at, ?4) ELSE started_at END,
                   finished_at = CASE WHEN ?2 IN ('succeeded', 'failed', 'canceled') THEN ?4 END
               WHERE id = ?1";
    execute(connection, sql, params![run.to_string(), after.as_str(), failure, time_text(*at), pause_reason])?;
    Ok(Projected::Done)
}

fn project_step(
    connection: &Connection,
    head: &mut Head,
    tally: &mut Tally,
    recorded: &Recorded,
    step: &StepId,
) -> Result<Projected, StoreError> {
    let Recorded { run, at, event } = recorded;
    let sql = "SELECT status, fence, attempts, parent, attempt_started_at, lease_expires_at, compute_ms FROM step
               WHERE run = ?1 AND id = ?2";
    let run_text = run.to_string();
    let (before, fence, attempts, parent, started, expires, total): (
        StepStatus,
        Fence,
        u32,
        Option<String>,
        Option<Timestamp>,
        Option<Timestamp>,
        i64,
    ) = first(connection, sql, params![run_text, step.as_str()])?
        .ok_or_else(|| StoreError::UnknownStep { run: *run, step: step.clone() })?;
    let compute_ms = compute_ms(started, expires, *at);
    if !status::fence_holds(event, before, fence) {
        return Ok(Projected::Stale);
    }
    let after = match before.after(event) {
        Transition::Keep => before,
        Transition::To(next) => next,
        Transition::Illegal => return Err(illegal(recorded, format!("step `{step}`"), before.as_str())),
    };
    let seq = head.append(connection, recorded)?;
    if before == StepStatus::Waiting {
        signals::take(connection, *run, step, event)?;
    }
    let ends = before == StepStatus::Running && after != StepStatus::Running;
    let worked = if ends { compute_ms.unwrap_or(0) } else { 0 };
    let row = StepProjection { connection, run: run_text, step, at: time_text(*at), attempts, compute_ms, worked };
    match event {
        Event::StepReady { not_before, .. } => row.ready(*not_before),
        Event::StepExpanded { items, .. } => row.expand(items, recorded, before),
        Event::StepReused { key, with, from, outputs, .. } => row.reuse(key, with, *from, outputs),
        Event::StepSkipped { reason, .. } => row.skip(reason),
        Event::StepWaiting { wait, .. } => row.wait(wait),
        Event::StepDecided { ruling, .. } => row.decided(seq, ruling),
        Event::CheckpointAdopted { checkpoint, .. } => row.checkpoint(seq, checkpoint),
        Event::StepCanceled { .. } => row.cancel(),
        Event::StepFailed { failure, .. } => row.fail(failure),
        Event::StepSucceeded { outputs, .. } => row.succeed(outputs),
        Event::AttemptStarted { attempt, fence, key, with, lease_expires_at, resources, .. } => {
            if *attempt != attempts + 1 {
                return Err(illegal(recorded, format!("attempt {attempt} of step `{step}`"), before.as_str()));
            }
            row.start(*attempt, *fence, key, with, *lease_expires_at)?;
            row.hold(resources)
        }
        Event::AttemptSpawned { process, .. } => row.spawned(process),
        Event::AttemptRewound { last_step, .. } => row.rewind(*last_step),
        Event::AttemptFailed { failure, .. } => row.attempt_failed(failure),
        Event::AttemptReleased { reason, .. } => row.release(reason),
        Event::CheckpointCommitted { checkpoint, .. } => row.checkpoint(seq, checkpoint),
        _ => Ok(()),
    }?;
    if let Some(parent) = parent {
        tally.add(&row.run, parent, &ChildChange { before, after, worked, attempts, total: total + worked });
    }
    Ok(Projected::Done)
}
