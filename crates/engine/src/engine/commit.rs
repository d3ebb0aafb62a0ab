//! Group commit: all decisions since the last commit become durable together and take effect only then.

use crate::executors::{AttemptId, Executor};
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::faults::around;
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::protocol::{MetricRow, SeriesChange};
use stepwell_run::command::{Command, Decision, Effect};
use stepwell_run::event::{Event, Recorded, StepEvent, StepEventKind, Wait};
use stepwell_store::{Batch, LeaseExtension, MetricWrite, SeriesWrite};

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

    /// Commits pending decisions, tells the observer and performs the effects. Effects may lead to more decisions.
    ///
    /// # Errors
    /// When the commit fails. Nothing of it has happened then, and this engine must stop.
    pub(crate) fn flush(&mut self) -> Result<(), EngineError> {
        loop {
            if self.must_commit() {
                self.commit()?;
            } else if self.pending.effects.is_empty() {
                return Ok(());
            } else {
                // Decisions of the effects are committed too: the caller may forget an ended run next.
                self.perform_effects()?;
            }
        }
    }

    /// Commits everything, including the metrics, heartbeats and events that may wait.
    ///
    /// # Errors
    /// The errors of [`Engine::flush`].
    pub(crate) fn flush_all(&mut self) -> Result<(), EngineError> {
        self.flush()?;
        if self.pending.has_waiting() { self.commit() } else { Ok(()) }
    }

    fn commit(&mut self) -> Result<(), EngineError> {
        let Pending { events, effects, answers, leases, metrics, series, usages, told, .. } =
            std::mem::take(&mut self.pending);
        let extension = |((run, step), (fence, expires_at))| {
            let id = AttemptId { run, step, fence };
            let progress = self.attempts.get(&id).and_then(|running| running.progress);
            LeaseExtension { run, step: id.step, fence, expires_at, progress }
        };
        let leases: Vec<LeaseExtension> = leases.into_iter().map(extension).collect();
        let to_tell = self.ends_to_tell(&events);
        let batch = Batch {
            events: &events,
            leases: &leases,
            metrics: &metrics,
            series: &series,
            usages: &usages,
            answers: &answers,
            to_tell: &to_tell,
            told: &told,
        };
        let report = around!("engine.commit", self.store.commit(batch).map_err(EngineError::from))?;
        if let Some(&stale) = report.stale.first() {
            return Err(EngineError::Diverged { run: events[stale].run });
        }
        self.attempts.settle();
        self.release_publications();
        self.discards.note(&events, &self.options.state_dir, &self.artifacts);
        self.discard(report.dropped)?;
        for recorded in &events {
            self.observer.event(recorded);
            self.call_for_alert(recorded);
        }
        self.tell(to_tell);
        for MetricWrite { run, step, row, .. } in &metrics {
            self.observer.metric(*run, step, row);
        }
        for SeriesWrite { run, step, change, .. } in &series {
            if let SeriesChange::Add(row) = change {
                self.observer.measured(*run, step, row);
            }
        }
        self.pending.effects = effects;
        self.perform_effects()
    }

    fn perform_effects(&mut self) -> Result<(), EngineError> {
        // Before a commit, only effects without events get here, such as an expired lease.
        for (run, effect) in std::mem::take(&mut self.pending.effects) {
            self.perform(run, effect)?;
        }
        // An attempt that failed to start frees its slot and its units.
        if self.pending.is_urgent() {
            self.pace.claim_again();
        }
        Ok(())
    }

    pub(crate) fn queue_metric(&mut self, run: RunId, step: StepId, attempt: u32, row: MetricRow) {
        self.pending.metric(MetricWrite { run, step, attempt, row }, self.clock.instant());
    }

    pub(crate) fn queue_series(&mut self, run: RunId, step: StepId, attempt: u32, change: SeriesChange) {
        self.pending.series(SeriesWrite { run, step, attempt, change }, self.clock.instant());
    }

    /// Removes dropped content. While another attempt runs, keeps the content for later, because that attempt may be
    /// about to publish equal content. The attempt that dropped the content waits for the answer.
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

    /// Removes, once no attempt runs, the content that earlier calls kept.
    pub(crate) fn discard_rest(&mut self) -> Result<(), EngineError> {
        if !self.attempts.is_empty() || self.discards.is_empty() {
            return Ok(());
        }
        self.discards.remove(self.store.reader(), &self.artifacts, self.observer)
    }
}
