//! Changes the tables as an event of a step says, with one method for each event.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, Params, params};
use serde_json::Value;

use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::failure::Failure;
use stepwell_base::ids::{Fence, RunId, StepId, StepKey};
use stepwell_run::event::{ProcessIdentity, Recorded, Ruling, Wait};
use stepwell_run::status::StepStatus;

use crate::decode::{Json, first, time_text};
use crate::error::StoreError;
use crate::series::forget;

/// Milliseconds that an attempt worked if it ends at `now`. Time after its lease does not count, however late the
/// expiry was noticed.
pub(super) fn compute_ms(started: Option<Timestamp>, lease_expires: Option<Timestamp>, now: Timestamp) -> Option<i64> {
    let end = lease_expires.map_or(now, |expires| expires.min(now));
    started.map(|started| (end.as_millisecond() - started.as_millisecond()).max(0))
}

/// A step row and the time of the event that changes it.
pub(super) struct StepProjection<'a> {
    pub(super) connection: &'a Connection,
    pub(super) run: String,
    pub(super) step: &'a StepId,
    pub(super) at: String,
    pub(super) attempts: u32,
    /// Work of the current attempt if it ends with this event, in milliseconds.
    pub(super) compute_ms: Option<i64>,
    /// `compute_ms` if this event ends an attempt, else 0.
    pub(super) worked: i64,
}

/// Assignments that end the running attempt; `?3` is its work in milliseconds.
pub(super) const NO_LEASE: &str =
    "compute_ms = compute_ms + ?3, lease_expires_at = NULL, attempt_started_at = NULL, pid = NULL, process_start = NULL, boot_id = NULL, resources = NULL, wait = NULL,
     progress_done = NULL, progress_total = NULL, progress_at = NULL, progress_first = NULL, progress_first_at = NULL";

impl StepProjection<'_> {
    /// Makes a step ready. A step that had ended starts again with a retry count of 0.
    pub(super) fn ready(&self, not_before: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE step SET not_before = ?3, finished_at = NULL, skip_reason = NULL, status = 'ready',
                       retries_used = CASE WHEN status IN ('pending', 'ready') THEN retries_used ELSE 0 END,
                       ready_since = CASE WHEN status = 'ready' THEN ready_since ELSE ?4 END
                   WHERE run = ?1 AND id = ?2";
        self.execute(sql, params![self.run, self.step.as_str(), time_text(not_before), self.at])
    }

    /// Adds the children; returns the number of those that were not there before. Resuming a fan-out expands it again, with the same items or, as a short form, with no items.
    pub(super) fn expand(&self, items: &[Value], recorded: &Recorded, before: StepStatus) -> Result<i64, StoreError> {
        let sql = "SELECT position, kind, needs, coalesce(children, 0) FROM step WHERE run = ?1 AND id = ?2";
        let own: Option<(i64, String, String, i64)> =
            first(self.connection, sql, params![self.run, self.step.as_str()])?;
        let Some((position, kind, needs, there)) = own else {
            return Err(StoreError::UnknownStep { run: recorded.run, step: self.step.clone() });
        };
        let sql = "INSERT INTO step (run, id, position, kind, status, needs, parent, item_index, item)
                   VALUES (?1, ?2, ?3, ?4, 'pending', ?5, ?6, ?7, ?8)
                   ON CONFLICT (run, id) DO UPDATE SET item = item WHERE item = excluded.item";
        let mut insert = self.connection.prepare_cached(sql)?;
        for (index, item) in items.iter().enumerate() {
            let child = self.step.child(index);
            let (parent, index, item) = (self.step.as_str(), index as i64, Json(item));
            let values = params![self.run, child.as_str(), position, kind, needs, parent, index, item];
            if insert.execute(values)? != 1 {
                return Err(illegal(recorded, format!("`{child}`, which has another item"), before.as_str()));
            }
        }
        let sql = "UPDATE step SET status = 'expanded', started_at = coalesce(started_at, ?3), finished_at = NULL,
                       children = max(coalesce(children, 0), ?4)
                   WHERE run = ?1 AND id = ?2";
        self.execute(sql, params![self.run, self.step.as_str(), self.at, items.len() as i64])?;
        Ok((items.len() as i64 - there).max(0))
    }

    pub(super) fn reuse(&self, key: &StepKey, with: &Value, from: RunId, outputs: &Outputs) -> Result<(), StoreError> {
        let sql = "UPDATE step SET key = ?3, arguments = ?4, reused_from = ?5 WHERE run = ?1 AND id = ?2";
        let values = params![self.run, self.step.as_str(), key.0, Json(with), from.to_string()];
        self.execute(sql, values)?;
        self.succeed(outputs)
    }

    pub(super) fn wait(&self, wait: &Wait) -> Result<(), StoreError> {
        let sql = "UPDATE step SET status = 'waiting', wait = ?3, started_at = coalesce(started_at, ?4)
                   WHERE run = ?1 AND id = ?2";
        self.execute(sql, params![self.run, self.step.as_str(), Json(wait), self.at])
    }

    pub(super) fn decided(&self, seq: i64, ruling: &Ruling) -> Result<(), StoreError> {
        let sql = "INSERT INTO decision (seq, run, step, at, rule, inputs, verdict, approver, comment)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let Ruling { rule, inputs, verdict, approver, comment } = ruling;
        let verdict = verdict.as_str();
        self.execute(
            sql,
            params![seq, self.run, self.step.as_str(), self.at, rule, Json(inputs), verdict, approver, comment],
        )
    }

    pub(super) fn hold(&self, resources: &BTreeMap<String, Vec<String>>) -> Result<(), StoreError> {
        if resources.is_empty() {
            return Ok(());
        }
        let sql = "UPDATE step SET resources = ?3 WHERE run = ?1 AND id = ?2";
        self.execute(sql, params![self.run, self.step.as_str(), Json(resources)])
    }

    pub(super) fn skip(&self, reason: &str) -> Result<(), StoreError> {
        let sql = "UPDATE step SET status = 'skipped', skip_reason = ?3, finished_at = ?4, wait = NULL
                   WHERE run = ?1 AND id = ?2";
        self.execute(sql, params![self.run, self.step.as_str(), reason, self.at])
    }

    pub(super) fn cancel(&self) -> Result<(), StoreError> {
        self.close_attempt("canceled", None)?;
        let sql =
            format!("UPDATE step SET status = 'canceled', finished_at = ?4, {NO_LEASE} WHERE run = ?1 AND id = ?2");
        self.execute(&sql, params![self.run, self.step.as_str(), self.worked, self.at])
    }

    pub(super) fn fail(&self, failure: &Failure) -> Result<(), StoreError> {
        self.close_attempt("failed", Some(&failure.message))?;
        let sql = format!(
            "UPDATE step SET status = 'failed', failure = ?4, finished_at = ?5, {NO_LEASE} WHERE run = ?1 AND id = ?2"
        );
        self.execute(&sql, params![self.run, self.step.as_str(), self.worked, Json(failure), self.at])
    }

    pub(super) fn succeed(&self, outputs: &Outputs) -> Result<(), StoreError> {
        self.close_attempt("succeeded", None)?;
        let sql = "INSERT INTO step_output (run, step, name, digest, size, media_type) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        for (name, artifact) in &outputs.artifacts {
            self.record_artifact(artifact)?;
            let (digest, size) = (artifact.digest.as_str(), artifact.size.cast_signed());
            self.execute(sql, params![self.run, self.step.as_str(), name, digest, size, artifact.media_type])?;
        }
        let sql = format!(
            "UPDATE step SET status = 'succeeded', output_values = ?4, failure = NULL, finished_at = ?5, {NO_LEASE}
             WHERE run = ?1 AND id = ?2"
        );
        self.execute(&sql, params![self.run, self.step.as_str(), self.worked, Json(&outputs.values), self.at])
    }

    pub(super) fn start(
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
        let (with, expires) = (Json(with), time_text(lease_expires_at));
        self.execute(sql, params![self.run, self.step.as_str(), attempt, fence, key.0, with, expires, self.at])
    }

    pub(super) fn spawned(&self, process: &ProcessIdentity) -> Result<(), StoreError> {
        let sql = "UPDATE step SET pid = ?3, process_start = ?4, boot_id = ?5 WHERE run = ?1 AND id = ?2";
        let start = process.start_time.cast_signed();
        self.execute(sql, params![self.run, self.step.as_str(), process.pid, start, process.boot_id])?;
        let sql = "UPDATE attempt SET pid = ?4 WHERE run = ?1 AND step = ?2 AND attempt = ?3";
        self.execute(sql, params![self.run, self.step.as_str(), self.attempts, process.pid])
    }

    /// Removes metrics, texts and checkpoints after `last_step`; the step row shows its newest remaining checkpoint.
    pub(super) fn rewind(&self, last_step: u64) -> Result<(), StoreError> {
        let values = params![self.run, self.step.as_str(), last_step.cast_signed()];
        self.execute("DELETE FROM metric WHERE run = ?1 AND step = ?2 AND train_step > ?3", values)?;
        forget(self.connection, (&self.run, self.step.as_str()), last_step.saturating_add(1))?;
        self.execute("DELETE FROM sample WHERE run = ?1 AND step = ?2 AND train_step > ?3", values)?;
        self.execute("DELETE FROM checkpoint WHERE run = ?1 AND step = ?2 AND last_step > ?3", values)?;
        let sql = "UPDATE step SET (last_doc_index, tokens_so_far, last_step, loss) =
                       (SELECT last_doc_index, tokens_so_far, last_step, loss FROM checkpoint
                        WHERE run = ?1 AND step = ?2 ORDER BY seq DESC LIMIT 1)
                   WHERE run = ?1 AND id = ?2";
        self.execute(sql, params![self.run, self.step.as_str()])
    }

    pub(super) fn attempt_failed(&self, failure: &Failure) -> Result<(), StoreError> {
        self.close_attempt("failed", Some(&failure.message))?;
        let sql = format!(
            "UPDATE step SET status = 'ready', failure = ?4, retries_used = retries_used + 1, {NO_LEASE}
             WHERE run = ?1 AND id = ?2"
        );
        self.execute(&sql, params![self.run, self.step.as_str(), self.worked, Json(failure)])
    }

    pub(super) fn release(&self, reason: &str) -> Result<(), StoreError> {
        self.close_attempt("released", Some(reason))?;
        let sql = format!("UPDATE step SET status = 'ready', {NO_LEASE} WHERE run = ?1 AND id = ?2");
        self.execute(&sql, params![self.run, self.step.as_str(), self.worked])
    }

    pub(super) fn checkpoint(&self, seq: i64, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let signed = |number: Option<u64>| number.map(u64::cast_signed);
        let (documents, tokens) = (signed(checkpoint.last_doc_index), signed(checkpoint.tokens_so_far));
        let last_step = signed(checkpoint.last_step);
        let artifact = checkpoint.artifact.as_ref();
        if let Some(artifact) = artifact {
            self.record_artifact(artifact)?;
        }
        let sql = "INSERT INTO checkpoint (seq, run, step, attempt, at, last_doc_index, tokens_so_far, last_step, loss,
                                           phase, permanent, state, digest, size, media_type, val_loss, best)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";
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
                Json(&checkpoint.state),
                artifact.map(|artifact| artifact.digest.as_str()),
                artifact.map(|artifact| artifact.size.cast_signed()),
                artifact.map(|artifact| artifact.media_type.as_str()),
                checkpoint.val_loss,
                checkpoint.best,
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

    fn record_artifact(&self, artifact: &ArtifactRef) -> Result<(), StoreError> {
        let sql = "INSERT INTO artifact (digest, size, media_type, first_seen) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (digest) DO NOTHING";
        let size = artifact.size.cast_signed();
        self.execute(sql, params![artifact.digest.as_str(), size, artifact.media_type, self.at])
    }

    fn execute(&self, sql: &str, values: impl Params) -> Result<(), StoreError> {
        execute(self.connection, sql, values)
    }
}

pub(super) fn execute(connection: &Connection, sql: &str, values: impl Params) -> Result<(), StoreError> {
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// The error for an event that contradicts the state.
pub(super) fn illegal(recorded: &Recorded, subject: String, status: &'static str) -> StoreError {
    let event = serde_json::to_value(&recorded.event).unwrap_or_default();
    let event = event["type"].as_str().unwrap_or_default().to_owned();
    StoreError::IllegalEvent { run: recorded.run, subject, event, status }
}
