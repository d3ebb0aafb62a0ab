//! What goes into the store.

use jiff::Timestamp;

use crate::core::artifact::ArtifactRef;
use crate::core::estimate::ProgressMark;
use crate::core::event::{Checkpoint, Recorded};
use crate::core::ids::{Fence, RunId, StepId};
use crate::core::names::RunName;
use crate::core::protocol::MetricRow;
use crate::core::request::Request;
use crate::core::run_options::RunOptions;
use crate::core::spec::WorkflowSpec;

/// A run to be submitted. `id` is a UUIDv7, so that ids sort by time.
#[derive(Clone, Debug)]
pub struct NewRun {
    pub id: RunId,
    pub name: RunName,
    pub spec: WorkflowSpec,
    pub spec_digest: String,
    /// Submitting again with the same key gives the first run.
    pub idempotency_key: Option<String>,
    pub options: RunOptions,
    pub at: Timestamp,
}

/// The checkpoint of another run from which a step of a fork goes on.
#[derive(Clone, PartialEq, Debug)]
pub struct Adoption {
    pub step: StepId,
    pub from: RunId,
    pub checkpoint: Checkpoint,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Submitted {
    New,
    /// The idempotency key was used before, for this run.
    Existing(RunId),
}

/// One transaction of the engine. The order within it: events as given, then leases, metrics, requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Batch<'a> {
    pub events: &'a [Recorded],
    pub leases: &'a [LeaseExtension],
    /// Written after all events. A queued metric that an `AttemptRewound` of this batch makes void must
    /// not be in here.
    pub metrics: &'a [MetricWrite],
    /// Requests that the events answer.
    pub answers: &'a [Answer],
}

impl Batch<'_> {
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.leases.is_empty() && self.metrics.is_empty() && self.answers.is_empty()
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaseExtension {
    pub run: RunId,
    pub step: StepId,
    pub fence: Fence,
    pub expires_at: Timestamp,
    pub progress: Option<ProgressMark>,
}

#[derive(Clone, PartialEq, Debug)]
pub struct MetricWrite {
    pub run: RunId,
    pub step: StepId,
    /// Metrics of any but the newest attempt are dropped.
    pub attempt: u32,
    pub row: MetricRow,
}

/// The effects of a commit beyond its batch. Leases and metrics under an old fence are silently dropped.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CommitReport {
    /// Indexes of events that were dropped because a newer claim of the step exists.
    pub stale: Vec<usize>,
    /// Content of checkpoints that newer ones have replaced; something else may still use it.
    pub dropped: Vec<ArtifactRef>,
}

/// What another process asked of the engine.
#[derive(Clone, PartialEq, Debug)]
pub struct RequestRow {
    pub id: i64,
    /// The request, or the reason why it is unreadable; it gets an answer in either case.
    pub asked: Result<(RunId, Request), String>,
}

/// The engine's answer to a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    pub id: i64,
    /// Why nothing was done.
    pub refusal: Option<String>,
}
