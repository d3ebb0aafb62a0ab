//! Applies one event: checks its fence and transition, appends it to the log, projects it onto the tables.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, Params, params};
use serde_json::Value;

use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::failure::Failure;
use stepwell_base::ids::{Fence, RunId, StepId, StepKey};
use stepwell_run::event::{Event, ProcessIdentity, Recorded, Ruling, Wait};
use stepwell_run::status::{self, RunStatus, StepStatus, Transition};

use super::batch::LeaseExtension;
use super::decode::{self, first, json_text, time_text};
use super::error::StoreError;
use super::head::Head;
use super::prune;
use super::tally::{ChildChange, Tally};
use super::waits;
use super::writer::active_run_named;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Applied {
    Done,
    /// The event's fence no longer holds: nothing was changed or logged.
    Stale,
}

/// Applies one event. Changes to fan-out counters accumulate in `tally`; the caller writes it at the end of the
/// transaction.
pub(super) fn apply(
    connection: &Connection,
    head: &mut Head,
    tally: &mut Tally,
    recorded: &Recorded,
) -> Result<Applied, StoreError> {
    match status::step_of(&recorded.event) {
        Some(step) => apply_to_step(connection, head, tally, recorded, step),
        None => apply_to_run(connection, head, recorded),
    }
}

/// Extends a lease and records its progress, unless a newer claim has changed the fence.
pub(super) fn extend_lease(connection: &Connection, lease: &LeaseExtension) -> Result<(), StoreError> {
    let (run, step, fence) = (lease.run.to_string(), lease.step.as_str(), lease.fence.0.cast_signed());
    let expires = time_text(lease.expires_at);
    let Some(mark) = &lease.progress else {
        let sql =
            "UPDATE step SET lease_expires_at = ?4 WHERE run = ?1 AND id = ?2 AND fence = ?3 AND status = 'running'";
        return execute(connection, sql, params![run, step, fence, expires]);
    };
    let sql = "UPDATE step SET lease_expires_at = ?4, progress_done = ?5, progress_total = ?6, progress_at = ?7,
                   progress_first = ?8, progress_first_at = ?9
               WHERE run = ?1 AND id = ?2 AND fence = ?3 AND status = 'running'";
    let (done, total, first) = (mark.done.cast_signed(), mark.total.cast_signed(), mark.first_done.cast_signed());
    let (at, first_at) = (time_text(mark.at), time_text(mark.first_at));
    let values = params![run, step, fence, expires, done, total, at, first, first_at];
    execute(connection, sql, values)
}

fn apply_to_run(connection: &Connection, head: &mut Head, recorded: &Recorded) -> Result<Applied, StoreError> {
    let Recorded { run, at, event } = recorded;
    let sql = "SELECT name, status, pruned_at FROM run WHERE id = ?1";
    let found = first(connection, sql, [run.to_string()], |row| {
        let pruned: Option<String> = decode::get(row, "pruned_at")?;
        Ok((decode::get::<String>(row, "name")?, decode::parse::<RunStatus>(row, "status")?, pruned))
    })?;
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
        execute(connection, sql, params![seq, run.to_string(), name, payload.to_string()])?;
    }
    if *event == Event::RunPruned {
        prune::remove_run(connection, *run, &time_text(*at))?;
        return Ok(Applied::Done);
    }
    let failure = match event {
        Event::RunFailed { failure, .. } => Some(json_text(failure)?),
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
    Ok(Applied::Done)
}

fn apply_to_step(
    connection: &Connection,
    head: &mut Head,
    tally: &mut Tally,
    recorded: &Recorded,
    step: &StepId,
) -> Result<Applied, StoreError> {
    let Recorded { run, at, event } = recorded;
    // Columns are read by number, because every event runs this query.
    let sql = "SELECT status, fence, attempts, parent, attempt_started_at, lease_expires_at, compute_ms FROM step
               WHERE run = ?1 AND id = ?2";
    let run_text = run.to_string();
    let found = first(connection, sql, params![run_text, step.as_str()], |row| {
        let fence = Fence(decode::get::<i64>(row, 1)?.cast_unsigned());
        let compute_ms = compute_ms(decode::maybe(row, 4)?, decode::maybe(row, 5)?, *at);
        let parent = decode::get::<Option<String>>(row, 3)?;
        let before = (decode::parse::<StepStatus>(row, 0)?, fence, decode::get::<u32>(row, 2)?);
        Ok((before, parent, compute_ms, decode::get::<i64>(row, 6)?))
    })?;
    let ((before, fence, attempts), parent, compute_ms, total) =
        found.ok_or_else(|| StoreError::UnknownStep { run: *run, step: step.clone() })?;
    if !status::fence_holds(event, before, fence) {
        return Ok(Applied::Stale);
    }
    let after = match before.after(event) {
        Transition::Keep => before,
        Transition::To(next) => next,
        Transition::Illegal => return Err(illegal(recorded, format!("step `{step}`"), before.as_str())),
    };
    let seq = head.append(connection, recorded)?;
    if before == StepStatus::Waiting {
        waits::take_signal(connection, *run, step, event)?;
    }
    let ends = before == StepStatus::Running && after != StepStatus::Running;
    let worked = if ends { compute_ms.unwrap_or(0) } else { 0 };
    let row = StepOf { connection, run: run_text, step, at: time_text(*at), attempts, compute_ms, worked };
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
    Ok(Applied::Done)
}

/// Milliseconds that an attempt worked if it ends at `now`. Time after its lease does not count, however late the
/// expiry was noticed.
pub(super) fn compute_ms(started: Option<Timestamp>, lease_expires: Option<Timestamp>, now: Timestamp) -> Option<i64> {
    let end = lease_expires.map_or(now, |expires| expires.min(now));
    started.map(|started| (end.as_millisecond() - started.as_millisecond()).max(0))
}

/// A step row and the time of the event that changes it.
struct StepOf<'a> {
    connection: &'a Connection,
    run: String,
    step: &'a StepId,
    at: String,
    attempts: u32,
    /// Work of the current attempt if it ends with this event, in milliseconds.
    compute_ms: Option<i64>,
    /// `compute_ms` if this event ends an attempt, else 0.
    worked: i64,
}

/// Assignments that end the running attempt; `?3` is its work in milliseconds.
pub(super) const NO_LEASE: &str =
    "compute_ms = compute_ms + ?3, lease_expires_at = NULL, attempt_started_at = NULL, pid = NULL, process_start = NULL, boot_id = NULL, resources = NULL, wait = NULL,
     progress_done = NULL, progress_total = NULL, progress_at = NULL, progress_first = NULL, progress_first_at = NULL";

impl StepOf<'_> {
    /// Makes a step ready. A step that had ended starts again with a retry count of 0.
    fn ready(&self, not_before: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE step SET not_before = ?3, finished_at = NULL, skip_reason = NULL, status = 'ready',
                       retries_used = CASE WHEN status IN ('pending', 'ready') THEN retries_used ELSE 0 END,
                       ready_since = CASE WHEN status = 'ready' THEN ready_since ELSE ?4 END
                   WHERE run = ?1 AND id = ?2";
        self.execute(sql, params![self.run, self.step.as_str(), time_text(not_before), self.at])
    }

    /// Adds the children. Resuming a fan-out expands it again, with the same items or, as a short form, with no items.
    fn expand(&self, items: &[Value], recorded: &Recorded, before: StepStatus) -> Result<(), StoreError> {
        let sql = "SELECT position, kind, needs FROM step WHERE run = ?1 AND id = ?2";
        let own = first(self.connection, sql, params![self.run, self.step.as_str()], |row| {
            Ok((decode::get::<i64>(row, 0)?, decode::get::<String>(row, 1)?, decode::get::<String>(row, 2)?))
        })?;
        let Some((position, kind, needs)) = own else {
            return Err(StoreError::UnknownStep { run: recorded.run, step: self.step.clone() });
        };
        let sql = "INSERT INTO step (run, id, position, kind, status, needs, parent, item_index, item)
                   VALUES (?1, ?2, ?3, ?4, 'pending', ?5, ?6, ?7, ?8)
                   ON CONFLICT (run, id) DO UPDATE SET item = item WHERE item = excluded.item";
        let mut insert = self.connection.prepare_cached(sql)?;
        for (index, item) in items.iter().enumerate() {
            let child = self.step.child(index);
            let (parent, index, item) = (self.step.as_str(), index as i64, item.to_string());
            let values = params![self.run, child.as_str(), position, kind, needs, parent, index, item];
            if insert.execute(values)? != 1 {
                return Err(illegal(recorded, format!("`{child}`, which has another item"), before.as_str()));
            }
        }
        let sql = "UPDATE step SET status = 'expanded', started_at = coalesce(started_at, ?3), finished_at = NULL,
                       children = max(coalesce(children, 0), ?4)
                   WHERE run = ?1 AND id = ?2";
        self.execute(sql, params![self.run, self.step.as_str(), self.at, items.len() as i64])
    }

    fn reuse(&self, key: &StepKey, with: &Value, from: RunId, outputs: &Outputs) -> Result<(), StoreError> {
        let sql = "UPDATE step SET key = ?3, arguments = ?4, reused_from = ?5 WHERE run = ?1 AND id = ?2";
        let values = params![self.run, self.step.as_str(), key.0, with.to_string(), from.to_string()];
        self.execute(sql, values)?;
        self.succeed(outputs)
    }

    fn wait(&self, wait: &Wait) -> Result<(), StoreError> {
        let sql = "UPDATE step SET status = 'waiting', wait = ?3, started_at = coalesce(started_at, ?4)
                   WHERE run = ?1 AND id = ?2";
        self.execute(sql, params![self.run, self.step.as_str(), json_text(wait)?, self.at])
    }

    fn decided(&self, seq: i64, ruling: &Ruling) -> Result<(), StoreError> {
        let sql = "INSERT INTO decision (seq, run, step, at, rule, inputs, verdict, approver, comment)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let Ruling { rule, inputs, verdict, approver, comment } = ruling;
        let inputs = inputs.to_string();
        let verdict = verdict.as_str();
        self.execute(sql, params![seq, self.run, self.step.as_str(), self.at, rule, inputs, verdict, approver, comment])
    }

    fn hold(&self, resources: &BTreeMap<String, Vec<String>>) -> Result<(), StoreError> {
        if resources.is_empty() {
            return Ok(());
        }
        let sql = "UPDATE step SET resources = ?3 WHERE run = ?1 AND id = ?2";
        self.execute(sql, params![self.run, self.step.as_str(), json_text(resources)?])
    }

    fn skip(&self, reason: &str) -> Result<(), StoreError> {
        let sql = "UPDATE step SET status = 'skipped', skip_reason = ?3, finished_at = ?4, wait = NULL
                   WHERE run = ?1 AND id = ?2";
        self.execute(sql, params![self.run, self.step.as_str(), reason, self.at])
    }

    fn cancel(&self) -> Result<(), StoreError> {
        self.close_attempt("canceled", None)?;
        let sql =
            format!("UPDATE step SET status = 'canceled', finished_at = ?4, {NO_LEASE} WHERE run = ?1 AND id = ?2");
        self.execute(&sql, params![self.run, self.step.as_str(), self.worked, self.at])
    }

    fn fail(&self, failure: &Failure) -> Result<(), StoreError> {
        self.close_attempt("failed", Some(&failure.message))?;
        let sql = format!(
            "UPDATE step SET status = 'failed', failure = ?4, finished_at = ?5, {NO_LEASE} WHERE run = ?1 AND id = ?2"
        );
        self.execute(&sql, params![self.run, self.step.as_str(), self.worked, json_text(failure)?, self.at])
    }

    fn succeed(&self, outputs: &Outputs) -> Result<(), StoreError> {
        self.close_attempt("succeeded", None)?;
        let sql = "INSERT INTO step_output (run, step, name, digest, size, media_type) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        for (name, artifact) in &outputs.artifacts {
            self.note_artifact(artifact)?;
            let (digest, size) = (artifact.digest.as_str(), artifact.size.cast_signed());
            self.execute(sql, params![self.run, self.step.as_str(), name, digest, size, artifact.media_type])?;
        }
        let sql = format!(
            "UPDATE step SET status = 'succeeded', output_values = ?4, failure = NULL, finished_at = ?5, {NO_LEASE}
             WHERE run = ?1 AND id = ?2"
        );
        self.execute(&sql, params![self.run, self.step.as_str(), self.worked, json_text(&outputs.values)?, self.at])
    }

    fn start(
        &self,
        attempt: u32,
        fence: Fence,
        key: &StepKey,
        with: &Value,
        lease_expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let fence = fence.0.cast_signed();
        let sql = "INSERT INTO attempt (run, step, attempt, fence, status, started_at, environment)
                   VALUES (?1, ?2, ?3, ?4, 'running', ?5, (SELECT value FROM meta WHERE key = 'environment'))";
        self.execute(sql, params![self.run, self.step.as_str(), attempt, fence, self.at])?;
        let sql = "UPDATE step SET status = 'running', attempts = ?3, fence = ?4, key = ?5, arguments = ?6,
                       key_since = CASE WHEN key IS ?5 THEN key_since ELSE ?3 END,
                       lease_expires_at = ?7, started_at = coalesce(started_at, ?8), attempt_started_at = ?8
                   WHERE run = ?1 AND id = ?2";
        let (with, expires) = (with.to_string(), time_text(lease_expires_at));
        self.execute(sql, params![self.run, self.step.as_str(), attempt, fence, key.0, with, expires, self.at])
    }

    fn spawned(&self, process: &ProcessIdentity) -> Result<(), StoreError> {
        let sql = "UPDATE step SET pid = ?3, process_start = ?4, boot_id = ?5 WHERE run = ?1 AND id = ?2";
        let start = process.start_time.cast_signed();
        self.execute(sql, params![self.run, self.step.as_str(), process.pid, start, process.boot_id])?;
        let sql = "UPDATE attempt SET pid = ?4 WHERE run = ?1 AND step = ?2 AND attempt = ?3";
        self.execute(sql, params![self.run, self.step.as_str(), self.attempts, process.pid])
    }

    /// Removes metrics and checkpoints after `last_step`; the step row shows its newest remaining checkpoint.
    fn rewind(&self, last_step: u64) -> Result<(), StoreError> {
        let values = params![self.run, self.step.as_str(), last_step.cast_signed()];
        self.execute("DELETE FROM metric WHERE run = ?1 AND step = ?2 AND train_step > ?3", values)?;
        self.execute("DELETE FROM checkpoint WHERE run = ?1 AND step = ?2 AND last_step > ?3", values)?;
        let sql = "UPDATE step SET (last_doc_index, tokens_so_far, last_step, loss) =
                       (SELECT last_doc_index, tokens_so_far, last_step, loss FROM checkpoint
                        WHERE run = ?1 AND step = ?2 ORDER BY seq DESC LIMIT 1)
                   WHERE run = ?1 AND id = ?2";
        self.execute(sql, params![self.run, self.step.as_str()])
    }

    fn attempt_failed(&self, failure: &Failure) -> Result<(), StoreError> {
        self.close_attempt("failed", Some(&failure.message))?;
        let sql = format!(
            "UPDATE step SET status = 'ready', failure = ?4, retries_used = retries_used + 1, {NO_LEASE}
             WHERE run = ?1 AND id = ?2"
        );
        self.execute(&sql, params![self.run, self.step.as_str(), self.worked, json_text(failure)?])
    }

    fn release(&self, reason: &str) -> Result<(), StoreError> {
        self.close_attempt("released", Some(reason))?;
        let sql = format!("UPDATE step SET status = 'ready', {NO_LEASE} WHERE run = ?1 AND id = ?2");
        self.execute(&sql, params![self.run, self.step.as_str(), self.worked])
    }

    fn checkpoint(&self, seq: i64, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let signed = |number: Option<u64>| number.map(u64::cast_signed);
        let (documents, tokens) = (signed(checkpoint.last_doc_index), signed(checkpoint.tokens_so_far));
        let last_step = signed(checkpoint.last_step);
        let artifact = checkpoint.artifact.as_ref();
        if let Some(artifact) = artifact {
            self.note_artifact(artifact)?;
        }
        let sql = "INSERT INTO checkpoint (seq, run, step, attempt, at, last_doc_index, tokens_so_far, last_step, loss,
                                           phase, permanent, state, digest, size, media_type)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
        self.execute(
            sql,
            params![
                seq,
                self.run,
                self.step.as_str(),
                self.attempts,
                self.at,
                documents,
                tokens,
                last_step,
                checkpoint.loss,
                checkpoint.phase,
                checkpoint.permanent,
                checkpoint.state.to_string(),
                artifact.map(|artifact| artifact.digest.as_str()),
                artifact.map(|artifact| artifact.size.cast_signed()),
                artifact.map(|artifact| artifact.media_type.as_str()),
            ],
        )?;
        let sql = "UPDATE step SET last_doc_index = ?3, tokens_so_far = ?4, last_step = ?5, loss = ?6
                   WHERE run = ?1 AND id = ?2";
        self.execute(sql, params![self.run, self.step.as_str(), documents, tokens, last_step, checkpoint.loss])
    }

    fn close_attempt(&self, status: &str, reason: Option<&str>) -> Result<(), StoreError> {
        let sql = "UPDATE attempt SET status = ?4, finished_at = ?5, reason = ?6, compute_ms = ?7
                   WHERE run = ?1 AND step = ?2 AND attempt = ?3 AND status = 'running'";
        let key = params![self.run, self.step.as_str(), self.attempts, status, self.at, reason, self.compute_ms];
        self.execute(sql, key)
    }

    fn note_artifact(&self, artifact: &ArtifactRef) -> Result<(), StoreError> {
        let sql = "INSERT INTO artifact (digest, size, media_type, first_seen) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (digest) DO NOTHING";
        let size = artifact.size.cast_signed();
        self.execute(sql, params![artifact.digest.as_str(), size, artifact.media_type, self.at])
    }

    fn execute(&self, sql: &str, values: impl Params) -> Result<(), StoreError> {
        execute(self.connection, sql, values)
    }
}

fn execute(connection: &Connection, sql: &str, values: impl Params) -> Result<(), StoreError> {
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

fn illegal(recorded: &Recorded, subject: String, status: &'static str) -> StoreError {
    let event = serde_json::to_value(&recorded.event).unwrap_or_default();
    let event = event["type"].as_str().unwrap_or_default().to_owned();
    StoreError::IllegalEvent { run: recorded.run, subject, event, status }
}
