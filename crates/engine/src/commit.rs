//! Group commit: everything that was decided since the last one becomes durable together, and only
//! then has effects.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::executors::{AttemptId, Executor};
use stepwell_base::faults::around;
use stepwell_base::ids::{Fence, RunId, StepId};
use stepwell_base::protocol::MetricRow;
use stepwell_run::command::{Command, Decision, Effect};
use stepwell_run::event::{Event, Recorded, StepEvent, StepEventKind, Wait};
use stepwell_store::{Answer, Batch, LeaseExtension, MetricWrite};

use super::clock::Clock;
use super::drive::Engine;
use super::error::EngineError;

/// Metrics and heartbeats alone wait for company, but not longer than this.
const LINGER: Duration = Duration::from_millis(500);

/// What the next commit will hold.
#[derive(Default)]
pub(super) struct Pending {
    pub events: Vec<Recorded>,
    pub effects: Vec<(RunId, Effect)>,
    pub answers: Vec<Answer>,
    leases: BTreeMap<(RunId, StepId), (Fence, Timestamp)>,
    metrics: Vec<MetricWrite>,
    /// One of the events has to be committed at once.
    urgent: bool,
    /// When the first of the things arrived that may wait.
    since: Option<Instant>,
}

impl Pending {
    pub(super) fn must_commit(&self, now: Instant) -> bool {
        let has_lingered = |since: Instant| now.duration_since(since) >= LINGER;
        self.urgent || !self.answers.is_empty() || self.since.is_some_and(has_lingered)
    }

    fn event(&mut self, recorded: Recorded, now: Instant) {
        if may_wait(&recorded.event) {
            self.since.get_or_insert(now);
        } else {
            self.urgent = true;
        }
        self.events.push(recorded);
    }

    fn metric(&mut self, metric: MetricWrite, now: Instant) {
        self.metrics.push(metric);
        self.since.get_or_insert(now);
    }

    /// Drops metrics that a rewind makes void before they were written.
    pub(super) fn rewind(&mut self, run: RunId, step: &StepId, last_step: u64) {
        self.metrics.retain(|m| m.run != run || m.step != *step || m.row.train_step <= last_step);
    }

    fn extend(&mut self, id: AttemptId, until: Timestamp, now: Instant) {
        self.leases.insert((id.run, id.step), (id.fence, until));
        self.since.get_or_insert(now);
    }

    /// When the waiting things have to be written.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
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

impl<X: Executor, C: Clock> Engine<'_, X, C> {
    /// Lets the core decide, and keeps the decision for the next commit.
    pub(super) fn handle(&mut self, run: RunId, command: Command) {
        let (now, instant) = (self.clock.now(), self.clock.instant());
        let Some(active) = self.runs.get_mut(&run) else { return };
        let (before, standing) = (active.state.compute, active.standing());
        let Decision { events, effects } = active.state.handle(command, now);
        let worked = active.state.compute - before;
        if !worked.is_zero() {
            self.accounts.add(&active.ancestors, worked);
        }
        if active.standing() != standing {
            self.tell_family(run);
        }
        for event in events {
            if let Event::Step(StepEvent {
                step,
                kind: StepEventKind::Waiting { wait: Wait::Run { run: child } },
                ..
            }) = &event
            {
                self.family.awaits(run, step.clone(), *child);
            }
            self.pending.event(Recorded { run, at: now, event }, instant);
        }
        for effect in effects {
            match effect {
                Effect::ExtendLease { step, fence, until } => {
                    self.pending.extend(AttemptId { run, step, fence }, until, instant);
                }
                other => self.pending.effects.push((run, other)),
            }
        }
    }

    pub(super) fn must_commit(&self) -> bool {
        self.pending.must_commit(self.clock.instant())
    }

    /// Commits what is pending, tells the observer, and performs the effects. Effects may decide more.
    ///
    /// # Errors
    /// When the commit fails; then nothing of it has happened, and this engine must stop.
    pub(super) fn flush(&mut self) -> Result<(), EngineError> {
        loop {
            if self.must_commit() {
                self.commit()?;
            } else if self.pending.effects.is_empty() {
                return Ok(());
            } else {
                // What they decide is committed as well: a run that has ended may be forgotten after this.
                self.perform_effects()?;
            }
        }
    }

    /// Commits also what could wait.
    ///
    /// # Errors
    /// As [`Engine::flush`].
    pub(super) fn flush_all(&mut self) -> Result<(), EngineError> {
        self.flush()?;
        if self.pending.since.is_some() { self.commit() } else { Ok(()) }
    }

    fn commit(&mut self) -> Result<(), EngineError> {
        let Pending { events, effects, answers, leases, metrics, .. } = std::mem::take(&mut self.pending);
        let extension = |((run, step), (fence, expires_at))| {
            let id = AttemptId { run, step, fence };
            let progress = self.attempts.get(&id).and_then(|running| running.progress);
            LeaseExtension { run, step: id.step, fence, expires_at, progress }
        };
        let leases: Vec<LeaseExtension> = leases.into_iter().map(extension).collect();
        let batch = Batch { events: &events, leases: &leases, metrics: &metrics, answers: &answers };
        let report = around!("engine.commit", self.store.commit(batch).map_err(EngineError::from))?;
        if let Some(&stale) = report.stale.first() {
            return Err(EngineError::Diverged { run: events[stale].run });
        }
        self.discards.note(&events, &self.options.state_dir, &self.artifacts);
        self.discard(report.dropped)?;
        for recorded in &events {
            self.observer.event(recorded);
            self.call_for_alert(recorded);
        }
        for MetricWrite { run, step, row, .. } in &metrics {
            self.observer.metric(*run, step, row);
        }
        self.pending.effects = effects;
        self.perform_effects()
    }

    fn perform_effects(&mut self) -> Result<(), EngineError> {
        // Only effects without events, such as an expired lease, get here before a commit.
        for (run, effect) in std::mem::take(&mut self.pending.effects) {
            self.perform(run, effect)?;
        }
        // An attempt that could not start has left its slot and its units.
        self.more_to_claim |= self.pending.urgent;
        Ok(())
    }

    pub(super) fn queue_metric(&mut self, run: RunId, step: StepId, attempt: u32, row: MetricRow) {
        self.pending.metric(MetricWrite { run, step, attempt, row }, self.clock.instant());
    }
}
