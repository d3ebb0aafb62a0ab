//! Projects one event: checks its fence and its transition, appends it to the log, and changes the tables.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use stepwell_base::ids::Fence;
use stepwell_run::event::{Event, Recorded, RunEvent, StepEvent, StepEventKind};
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
    match &recorded.event {
        Event::Run(event) => project_run(connection, head, recorded, event),
        Event::Step(event) => project_step(connection, head, tally, recorded, event),
    }
}

fn project_run(
    connection: &Connection,
    head: &mut Head,
    recorded: &Recorded,
    event: &RunEvent,
) -> Result<Projected, StoreError> {
    let Recorded { run, at, .. } = recorded;
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
    if let RunEvent::SignalReceived { name, payload } = event {
        let sql = "INSERT INTO signal (seq, run, name, payload) VALUES (?1, ?2, ?3, ?4)";
        execute(connection, sql, params![seq, run.to_string(), name, Json(payload)])?;
    }
    if *event == RunEvent::Pruned {
        prune::remove_run(connection, *run, &time_text(*at))?;
        return Ok(Projected::Done);
    }
    let failure = match event {
        RunEvent::Failed { failure, .. } => Some(Json(failure)),
        _ => None,
    };
    let pause_reason = match event {
        RunEvent::Paused { reason, .. } => Some(reason.as_str()),
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
    event: &StepEvent,
) -> Result<Projected, StoreError> {
    let Recorded { run, at, .. } = recorded;
    let StepEvent { step, kind, .. } = event;
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
    let after = match before.after(kind) {
        Transition::Keep => before,
        Transition::To(next) => next,
        Transition::Illegal => return Err(illegal(recorded, format!("step `{step}`"), before.as_str())),
    };
    let seq = head.append(connection, recorded)?;
    if before == StepStatus::Waiting {
        signals::take(connection, *run, step, kind)?;
    }
    let ends = before == StepStatus::Running && after != StepStatus::Running;
    let worked = if ends { compute_ms.unwrap_or(0) } else { 0 };
    let row = StepProjection { connection, run: run_text, step, at: time_text(*at), attempts, compute_ms, worked };
    match kind {
        StepEventKind::Ready { not_before } => row.ready(*not_before),
        StepEventKind::Expanded { items } => {
            row.expand(items, recorded, before).map(|added| tally.grew(&row.run, added))
        }
        StepEventKind::Reused { key, with, from, outputs } => row.reuse(key, with, *from, outputs),
        StepEventKind::Skipped { reason } => row.skip(reason),
        StepEventKind::Waiting { wait } => row.wait(wait),
        StepEventKind::Decided { ruling } => row.decided(seq, ruling),
        StepEventKind::CheckpointAdopted { checkpoint, .. } => row.checkpoint(seq, checkpoint),
        StepEventKind::Canceled => row.cancel(),
        StepEventKind::Failed { failure } => row.fail(failure),
        StepEventKind::Succeeded { outputs } => row.succeed(outputs),
        StepEventKind::AttemptStarted { attempt, key, with, lease_expires_at, resources } => {
            if *attempt != attempts + 1 {
                return Err(illegal(recorded, format!("attempt {attempt} of step `{step}`"), before.as_str()));
            }
            row.start(*attempt, Fence(fence.0 + 1), key, with, *lease_expires_at)?;
            row.hold(resources)
        }
        StepEventKind::AttemptSpawned { process } => row.spawned(process),
        StepEventKind::AttemptRewound { last_step } => row.rewind(*last_step),
        StepEventKind::AttemptFailed { failure } => row.attempt_failed(failure),
        StepEventKind::AttemptReleased { reason, .. } => row.release(reason),
        StepEventKind::CheckpointCommitted { checkpoint } => row.checkpoint(seq, checkpoint),
        StepEventKind::Note { .. } => Ok(()),
    }?;
    tally.moved(&row.run, before, after);
    if let Some(parent) = parent {
        tally.add(&row.run, parent, &ChildChange { before, after, worked, attempts, total: total + worked });
    }
    Ok(Projected::Done)
}
