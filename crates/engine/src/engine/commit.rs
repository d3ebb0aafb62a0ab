//! Group commit: everything that was decided since the last one becomes durable together, and only
//! then has effects.

use crate::executors::{AttemptId, Executor};
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::faults::around;
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::protocol::MetricRow;
use stepwell_run::command::{Command, Decision, Effect};
use stepwell_run::event::{Event, Recorded, StepEvent, StepEventKind, Wait};
use stepwell_store::{Batch, LeaseExtension, MetricWrite};

use crate::clock::Clock;
use crate::engine::Engine;
use crate::engine::state::pending::Pending;
use crate::error::EngineError;

impl<X: Executor, C: Clock> Engine<'_, X, C> {
    /// Lets the core decide, and keeps the decision for the next commit.
    pub(crate) fn handle(&mut self, run: RunId, command: Command) {
        let (now, instant) = (self.clock.now(), self.clock.instant());
        let Some(active) = self.runs.get_mut(&run) else { return };
        let (before, standing) = (active.state.compute, active.standing());
        let Decision { events, effects } = active.state.handle(command, now);
        let worked = active.state.compute - before;
        if !worked.is_zero() {
            self.accounts.add(&active.ancestors, worked);
        }
        if active.standing() != standing {
            self.queue_propagation(run);
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

    pub(crate) fn must_commit(&self) -> bool {
        self.pending.must_commit(self.clock.instant())
    }

    /// Commits what is pending, tells the observer, and performs the effects. Effects may decide more.
    ///
    /// # Errors
    /// When the commit fails; then nothing of it has happened, and this engine must stop.
    pub(crate) fn flush(&mut self) -> Result<(), EngineError> {
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
    pub(crate) fn flush_all(&mut self) -> Result<(), EngineError> {
        self.flush()?;
        if self.pending.has_waiting() { self.commit() } else { Ok(()) }
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
        if self.pending.is_urgent() {
            self.pace.claim_again();
        }
        Ok(())
    }

    pub(crate) fn queue_metric(&mut self, run: RunId, step: StepId, attempt: u32, row: MetricRow) {
        self.pending.metric(MetricWrite { run, step, attempt, row }, self.clock.instant());
    }

    /// While another attempt runs, it may be about to publish equal content, and everything is kept for later. The
    /// attempt that has dropped the content waits for the answer.
    pub(crate) fn discard(&mut self, dropped: Vec<ArtifactRef>) -> Result<(), EngineError> {
        if dropped.is_empty() {
            return Ok(());
        }
        self.discards.add(dropped);
        if self.attempts.working() > 1 || !self.discards.is_ready() {
            return Ok(());
        }
        self.discards.remove(self.store.reader(), &self.artifacts, self.observer)
    }

    /// Removes the content that could not be removed earlier, once no attempt runs.
    pub(crate) fn discard_rest(&mut self) -> Result<(), EngineError> {
        if !self.attempts.is_empty() || self.discards.is_empty() {
            return Ok(());
        }
        self.discards.remove(self.store.reader(), &self.artifacts, self.observer)
    }
}
