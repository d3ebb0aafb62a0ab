//! Values that the store returns.

use std::collections::BTreeMap;

use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::failure::Failure;
use stepwell_base::ids::{Fence, RunId, StepId, StepKey};
use stepwell_run::estimate::ProgressMark;
use stepwell_run::event::{Event, ProcessIdentity, Ruling, Wait};
use stepwell_run::run_options::{Origin, RunOptions};
use stepwell_run::state::Signal;
use stepwell_run::status::{RunStatus, StepStatus};

use super::error::StoreError;

#[derive(Clone, PartialEq, Debug)]
pub struct RunRow {
    pub id: RunId,
    pub name: String,
    pub workflow: String,
    /// Current status: a run whose row says `running` is `interrupted` when no engine holds the state.
    pub status: RunStatus,
    /// Status after the newest event.
    pub stored_status: RunStatus,
    pub spec_digest: String,
    pub options: RunOptions,
    pub pause_reason: Option<String>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// Time of the newest event.
    pub updated_at: Timestamp,
    /// Time when the retention policy removed everything but this row and the log.
    pub pruned_at: Option<Timestamp>,
    pub failure: Option<Failure>,
}

/// Progress of a fan-out, in children.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Children {
    pub total: u64,
    /// Succeeded or skipped.
    pub done: u64,
    pub failed: u64,
}

/// A run or a schedule whose row this build cannot read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unreadable {
    /// The run's id as stored; for a schedule, its name.
    pub id: String,
    pub name: String,
    pub why: String,
}

/// Rows of runs. Unreadable rows are separate, so that they do not block the others.
#[derive(Clone, Debug, Default)]
pub struct RunRows {
    pub readable: Vec<RunRow>,
    pub unreadable: Vec<Unreadable>,
}

impl RunRows {
    /// Returns every run, for callers that must not miss one.
    ///
    /// # Errors
    /// `Undecodable` when one cannot be read.
    pub fn all(self) -> Result<Vec<RunRow>, StoreError> {
        match self.unreadable.first() {
            None => Ok(self.readable),
            Some(Unreadable { id, why, .. }) => Err(StoreError::undecodable(format!("run {id}: {why}"))),
        }
    }
}

impl RunRow {
    /// The time that the run is for: when its schedule was due, else when it was submitted.
    pub fn scheduled_at(&self) -> Timestamp {
        match &self.options.origin {
            Some(Origin::Schedule { due, .. }) => *due,
            _ => self.created_at,
        }
    }
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
    pub attempts: u32,
    pub is_running: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub struct CheckpointRow {
    /// Number of the event that committed it.
    pub seq: i64,
    pub attempt: u32,
    pub at: Timestamp,
    pub checkpoint: Checkpoint,
}

#[derive(Clone, PartialEq, Debug)]
pub struct EventRow {
    pub seq: i64,
    pub run: RunId,
    /// Precise to a millisecond.
    pub at: Timestamp,
    pub event: Event,
}

/// A step's reference to content of the artifact store.
#[derive(Clone, PartialEq, Debug)]
pub struct Reference {
    pub run: RunId,
    pub step: StepId,
    pub holder: Holder,
    pub artifact: ArtifactRef,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Holder {
    /// Named output.
    Output(String),
    /// Checkpoint, by the number of its event.
    Checkpoint { seq: i64, last_step: Option<u64> },
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reference { run, step, holder, .. } = self;
        match holder {
            Holder::Output(name) => write!(f, "output {run}/{step}/{name}"),
            Holder::Checkpoint { last_step: Some(last_step), .. } => {
                write!(f, "the checkpoint of {run}/{step} at training step {last_step}")
            }
            Holder::Checkpoint { seq, .. } => write!(f, "the checkpoint of {run}/{step} in event {seq}"),
        }
    }
}

#[derive(Clone, PartialEq, Debug)]
pub struct DecisionRow {
    /// Number of its event.
    pub seq: i64,
    pub step: StepId,
    pub at: Timestamp,
    pub ruling: Ruling,
}

#[derive(Clone, PartialEq, Debug)]
pub struct SignalRow {
    /// Number of its event.
    pub seq: i64,
    pub signal: Signal,
    /// The step that consumed it.
    pub taken_by: Option<StepId>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct WaitRow {
    pub run: RunId,
    pub step: StepId,
    pub wait: Wait,
}

impl RunRow {
    /// The run whose step started this one.
    pub fn parent(&self) -> Option<RunId> {
        match &self.options.origin {
            Some(Origin::Child { run, .. }) => Some(*run),
            _ => None,
        }
    }
}
