//! Values that callers write to the store.

use jiff::Timestamp;

use stepwell_base::artifact::ArtifactRef;
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::ids::{Fence, RunId, StepId};
use stepwell_base::names::RunName;
use stepwell_base::protocol::{MetricRow, SeriesChange, Usage};
use stepwell_run::estimate::ProgressMark;
use stepwell_run::event::Recorded;
use stepwell_run::run_options::RunOptions;
use stepwell_workflow::spec::WorkflowSpec;

use crate::rows::Answer;

/// A run to submit. `id` is a UUIDv7, so ids sort by time.
#[derive(Clone, Debug)]
pub struct NewRun {
    pub id: RunId,
    pub name: RunName,
    pub spec: WorkflowSpec,
    pub spec_digest: String,
    /// A second submission with the same key returns the first run.
    pub idempotency_key: Option<String>,
    pub options: RunOptions,
    pub at: Timestamp,
}

/// The checkpoint of another run that a fork's step continues from.
#[derive(Clone, PartialEq, Debug)]
pub struct Adoption {
    pub step: StepId,
    pub from: RunId,
    pub checkpoint: Checkpoint,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Submitted {
    New,
    /// The idempotency key belongs to this earlier run.
    Existing(RunId),
}

/// One transaction of the engine. Writes happen in this order: events as given, leases, metrics, series, answers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Batch<'a> {
    pub events: &'a [Recorded],
    pub leases: &'a [LeaseExtension],
    /// Metrics are written after all events, so exclude queued metrics that an `AttemptRewound` of this batch
    /// invalidates.
    pub metrics: &'a [MetricWrite],
    /// Written in this order; what a rewind of this batch voids is excluded too.
    pub series: &'a [SeriesWrite],
    /// Not worth a commit of their own.
    pub usages: &'a [UsageWrite],
    /// Answers to the requests that the events fulfil.
    pub answers: &'a [Answer],
    /// Runs that these events end and that the notifier must hear of, with the times of their ends.
    pub to_tell: &'a [(RunId, Timestamp)],
    /// Ends that the notifier knows now.
    pub told: &'a [(RunId, Timestamp)],
}

impl Batch<'_> {
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
            && self.leases.is_empty()
            && self.metrics.is_empty()
            && self.series.is_empty()
            && self.usages.is_empty()
            && self.answers.is_empty()
            && self.told.is_empty()
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
    /// Metrics of any attempt but the newest are dropped.
    pub attempt: u32,
    pub row: MetricRow,
}

/// A change of what a program reports, in the same table as metrics.
#[derive(Clone, PartialEq, Debug)]
pub struct SeriesWrite {
    pub run: RunId,
    pub step: StepId,
    /// Changes of any attempt but the newest are dropped.
    pub attempt: u32,
    pub change: SeriesChange,
}

/// What an attempt used at some moment.
#[derive(Clone, PartialEq, Debug)]
pub struct UsageWrite {
    pub run: RunId,
    pub step: StepId,
    pub attempt: u32,
    pub at: Timestamp,
    pub usage: Usage,
}

/// Effects of a commit beyond its batch. Leases and metrics under an old fence are dropped silently.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CommitReport {
    /// Indexes of events dropped because the step has a newer claim.
    pub stale: Vec<usize>,
    /// Content of checkpoints that newer ones replaced; other rows may still refer to it.
    pub dropped: Vec<ArtifactRef>,
}
