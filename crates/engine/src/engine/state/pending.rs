//! Contents of the next commit.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::executors::AttemptId;
use crate::notifier::End;
use stepwell_base::ids::{Fence, RunId, StepId};
use stepwell_run::command::Effect;
use stepwell_run::event::{Event, Recorded, StepEventKind};
use stepwell_store::{Answer, MetricWrite, SeriesWrite, UsageWrite};

/// Longest delay of metrics and heartbeats, which wait to share a commit.
const LINGER: Duration = Duration::from_millis(500);

#[derive(Default)]
pub(crate) struct Pending {
    pub events: Vec<Recorded>,
    pub effects: Vec<(RunId, Effect)>,
    pub answers: Vec<Answer>,
    pub leases: BTreeMap<(RunId, StepId), (Fence, Timestamp)>,
    pub metrics: Vec<MetricWrite>,
    pub series: Vec<SeriesWrite>,
    /// Written with the next commit, for whatever reason it happens.
    pub usages: Vec<UsageWrite>,
    /// Ends of runs that the notifier has told.
    pub told: Vec<End>,
    /// True if an event needs an immediate commit.
    urgent: bool,
    /// Arrival of the oldest entry that may wait.
    since: Option<Instant>,
}

impl Pending {
    pub(crate) fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// True if an entry waits to share a commit.
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

    pub(crate) fn series(&mut self, write: SeriesWrite, now: Instant) {
        self.series.push(write);
        self.since.get_or_insert(now);
    }

    pub(crate) fn told(&mut self, end: End, now: Instant) {
        self.told.push(end);
        self.since.get_or_insert(now);
    }

    /// Drops unwritten metrics that a rewind voids.
    pub(crate) fn rewind(&mut self, run: RunId, step: &StepId, last_step: u64) {
        self.metrics.retain(|m| m.run != run || m.step != *step || m.row.train_step <= last_step);
        self.series.retain(|write| write.run != run || write.step != *step || !write.change.is_after(last_step));
    }

    pub(crate) fn extend(&mut self, id: AttemptId, until: Timestamp, now: Instant) {
        self.leases.insert((id.run, id.step), (id.fence, until));
        self.since.get_or_insert(now);
    }

    /// Latest time for the next commit.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        if self.must_commit(now) {
            return Some(now);
        }
        self.since.map(|since| since + LINGER)
    }
}

/// On Linux, orphans are found by an environment marker, so recording a PID can wait for the next commit.
fn may_wait(event: &Event) -> bool {
    cfg!(target_os = "linux") && matches!(event.step_kind(), Some(StepEventKind::AttemptSpawned { .. }))
}
