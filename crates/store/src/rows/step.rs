//! Rows of steps.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::Row;
use serde_json::Value;

use stepwell_base::artifact::Outputs;
use stepwell_base::failure::Failure;
use stepwell_base::ids::{Fence, RunId, StepId, StepKey};
use stepwell_run::estimate::ProgressMark;
use stepwell_run::event::{ProcessIdentity, Wait};
use stepwell_run::status::StepStatus;

use crate::decode::{FromRow, Listed, columns};
use crate::error::StoreError;

/// Progress of a fan-out, in children.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Children {
    pub total: u64,
    /// Succeeded or skipped.
    pub done: u64,
    pub failed: u64,
}

#[derive(Clone, PartialEq, Debug)]
pub struct StepRow {
    pub id: StepId,
    /// For a child: its fan-out step. The next two fields are the child's item.
    pub parent: Option<StepId>,
    pub item_index: Option<usize>,
    pub item: Option<Value>,
    pub kind: String,
    /// A child has its parent's needs.
    pub needs: Vec<StepId>,
    pub status: StepStatus,
    pub fence: Fence,
    /// Number of attempts started, released ones included; equals the number of the newest attempt.
    pub attempts: u32,
    /// Attempts that failed since the step was first ready, or ready again after `resume`.
    pub retries_used: u32,
    pub not_before: Option<Timestamp>,
    /// Time it first became ready, or became ready again after it had ended.
    pub ready_since: Option<Timestamp>,
    pub lease_expires_at: Option<Timestamp>,
    /// Process of the running attempt.
    pub process: Option<ProcessIdentity>,
    pub key: Option<StepKey>,
    /// Resolved arguments of the newest attempt, with the fingerprint under `"$fingerprint"`.
    pub with: Option<Value>,
    /// Present only if the step succeeded.
    pub outputs: Option<Outputs>,
    /// Failure of the newest failed attempt, until the step succeeds.
    pub failure: Option<Failure>,
    pub reused_from: Option<RunId>,
    pub skip_reason: Option<String>,
    /// Present only for an expanded fan-out.
    pub children: Option<Children>,
    pub wait: Option<Wait>,
    /// Units that the running attempt holds, keyed by pool.
    pub resources: BTreeMap<String, Vec<String>>,
    /// Start of the running attempt.
    pub attempt_started_at: Option<Timestamp>,
    pub progress: Option<ProgressMark>,
    /// From the newest checkpoint, like the next three fields.
    pub last_step: Option<u64>,
    pub last_doc_index: Option<u64>,
    pub tokens_so_far: Option<u64>,
    pub loss: Option<f64>,
    /// Work of all ended attempts, in milliseconds; for a fan-out, of its children.
    pub compute_ms: i64,
    /// Start of the first attempt.
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
}

/// A step with at least one attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AttemptedStep {
    pub id: StepId,
    pub item: Option<Value>,
    pub attempts: u32,
    pub is_running: bool,
}

columns! {
    pub(crate) struct StepColumns {
        id, parent, item_index, item, kind, needs, status, fence, attempts, retries_used, not_before, ready_since,
        lease_expires_at, key, arguments, failure, reused_from, skip_reason, wait, resources, attempt_started_at,
        last_step, last_doc_index, tokens_so_far, loss, compute_ms, started_at, finished_at, children, children_done,
        children_failed, progress_done, progress_total, progress_at, progress_first, progress_first_at, pid,
        process_start, boot_id, output_values,
    }
}

/// A query for steps.
pub(crate) fn steps_where(condition: &str) -> Listed {
    Listed::select::<StepColumns>(&format!("FROM step WHERE {condition}"))
}

/// Decodes a step and its output values. The artifacts of its outputs have rows of their own.
impl FromRow for StepRow {
    type Columns = StepColumns;

    fn from_row(row: &Row<'_>, columns: &StepColumns) -> Result<StepRow, StoreError> {
        let status = columns.status.get(row)?;
        Ok(StepRow {
            id: columns.id.get(row)?,
            parent: columns.parent.get(row)?,
            item_index: columns.item_index.get(row)?,
            item: columns.item.maybe_json(row)?,
            kind: columns.kind.get(row)?,
            needs: columns.needs.json(row)?,
            status,
            fence: columns.fence.get(row)?,
            attempts: columns.attempts.get(row)?,
            retries_used: columns.retries_used.get(row)?,
            not_before: columns.not_before.get(row)?,
            ready_since: columns.ready_since.get(row)?,
            lease_expires_at: columns.lease_expires_at.get(row)?,
            process: columns.process(row)?,
            key: columns.key.get(row)?,
            with: columns.arguments.maybe_json(row)?,
            outputs: columns.outputs(row, status)?,
            failure: columns.failure.maybe_json(row)?,
            reused_from: columns.reused_from.get(row)?,
            skip_reason: columns.skip_reason.get(row)?,
            children: columns.children(row)?,
            wait: columns.wait.maybe_json(row)?,
            resources: columns.resources.maybe_json(row)?.unwrap_or_default(),
            attempt_started_at: columns.attempt_started_at.get(row)?,
            progress: columns.progress(row)?,
            last_step: columns.last_step.get(row)?,
            last_doc_index: columns.last_doc_index.get(row)?,
            tokens_so_far: columns.tokens_so_far.get(row)?,
            loss: columns.loss.get(row)?,
            compute_ms: columns.compute_ms.get(row)?,
            started_at: columns.started_at.get(row)?,
            finished_at: columns.finished_at.get(row)?,
        })
    }
}

impl StepColumns {
    fn outputs(&self, row: &Row<'_>, status: StepStatus) -> Result<Option<Outputs>, StoreError> {
        if status != StepStatus::Succeeded {
            return Ok(None);
        }
        let values = self.output_values.maybe_json(row)?.unwrap_or_default();
        Ok(Some(Outputs { values, ..Outputs::default() }))
    }

    fn children(&self, row: &Row<'_>) -> Result<Option<Children>, StoreError> {
        let Some(total) = self.children.get(row)? else { return Ok(None) };
        Ok(Some(Children { total, done: self.children_done.get(row)?, failed: self.children_failed.get(row)? }))
    }

    fn progress(&self, row: &Row<'_>) -> Result<Option<ProgressMark>, StoreError> {
        let Some(done) = self.progress_done.get(row)? else { return Ok(None) };
        Ok(Some(ProgressMark {
            done,
            total: self.progress_total.get(row)?,
            at: self.progress_at.get(row)?,
            first_done: self.progress_first.get(row)?,
            first_at: self.progress_first_at.get(row)?,
        }))
    }

    fn process(&self, row: &Row<'_>) -> Result<Option<ProcessIdentity>, StoreError> {
        let Some(pid) = self.pid.get(row)? else { return Ok(None) };
        let start_time = self.process_start.get(row)?;
        Ok(Some(ProcessIdentity { pid, start_time, boot_id: self.boot_id.get(row)? }))
    }
}

columns! {
    pub(crate) struct AttemptedColumns { id, item, attempts, status }
}

impl FromRow for AttemptedStep {
    type Columns = AttemptedColumns;

    fn from_row(row: &Row<'_>, columns: &AttemptedColumns) -> Result<AttemptedStep, StoreError> {
        Ok(AttemptedStep {
            id: columns.id.get(row)?,
            item: columns.item.maybe_json(row)?,
            attempts: columns.attempts.get(row)?,
            is_running: columns.status.get::<StepStatus>(row)? == StepStatus::Running,
        })
    }
}
