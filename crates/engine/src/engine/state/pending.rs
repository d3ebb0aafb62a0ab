//! What the next commit will hold.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::executors::AttemptId;
use stepwell_base::ids::{Fence, RunId, StepId};
use stepwell_run::command::Effect;
use stepwell_run::event::{Event, Recorded, StepEventKind};
use stepwell_store::{Answer, MetricWrite};

/// Metrics and heartbeats alone wait for company, but not longer than this.
const LINGER: Duration = Duration::from_millis(500);

/// What the next commit will hold.
#[derive(Default)]
pub(crate) struct Pending {
    pub events: Vec<Recorded>,
    pub effects: Vec<(RunId, Effect)>,
    pub answers: Vec<Answer>,
    pub leases: BTreeMap<(RunId, StepId), (Fence, Timestamp)>,
    pub metrics: Vec<MetricWrite>,
    /// One of the events has to be committed at once.
    urgent: bool,
    /// When the first of the things arrived that may wait.
    since: Option<Instant>,
}

impl Pending {
    pub(crate) fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// True if something waits for company.
    pub(crate) fn has_waiting(&self) -> bool {
        self.since.is_some()
    }

    pub(crate) fn must_commit(&self, now: Instant) -> bool {
        let has_lingered = |since: Instant| now.duration_since(since) >= LINGER;
        self.urgent || !self.answers.is_empty() || self.since.is_some_and(has_lingered)
    }

    pub(crate) fn event(&mut self, recorded: Recorded, now: Instant) {
        if may_wait(&recorded.event) {
            self.since.get_or_insert(now);
        } else {
            self.urgent = true;
        }
        self.events.push(recorded);
    }

    pub(crate) fn metric(&mut self, metric: MetricWrite, now: Instant) {
        self.metrics.push(metric);
        self.since.get_or_insert(now);
    }

    /// Drops metrics that a rewind makes void before they were written.
    pub(crate) fn rewind(&mut self, run: RunId, step: &StepId, last_step: u64) {
        self.metrics.retain(|m| m.run != run || m.step != *step || m.row.train_step <= last_step);
    }

    pub(crate) fn extend(&mut self, id: AttemptId, until: Timestamp, now: Instant) {
        self.leases.insert((id.run, id.step), (id.fence, until));
        self.since.get_or_insert(now);
    }

    /// When the waiting things have to be written.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        if self.must_commit(now) {
            return Some(now);
        }
        self.since.map(|since| since + LINGER)
    }
}

/// Where processes can be found by their marks, their numbers are worth no commit of their own.
fn may_wait(event: &Event) -> bool {
    cfg!(target_os = "linux") && matches!(event.step_kind(), Some(StepEventKind::AttemptSpawned { .. }))
}
