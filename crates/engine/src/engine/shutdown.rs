//! Stops the engine in the middle of its work, so that everything can resume later.

use crate::clock::Clock;
use crate::engine::Engine;
use crate::engine::state::attempts::INTERRUPT_GRACE;
use crate::engine::stop::Stop;
use crate::executors::{AttemptId, Executor, Sweep};
use stepwell_run::command::Command;

impl<X: Executor, C: Clock> Engine<'_, X, C> {
    /// Stops the attempts. The first call lets them write a checkpoint; the second kills them at once.
    pub(crate) fn stop(&mut self, stop: Stop) {
        match &mut self.stopping {
            None => {
                if stop.until_free.is_none() && !self.attempts.is_empty() {
                    self.observer.stopping(INTERRUPT_GRACE);
                }
                self.stopping = Some(stop);
                self.interrupt_runs();
            }
            // Several attempts may find the disk full; the largest need decides when to resume.
            Some(Stop { until_free: Some(needed), .. }) if stop.until_free.is_some() => {
                *needed = stop.until_free.unwrap_or(0).max(*needed);
            }
            Some(_) if stop.until_free.is_some() => {}
            Some(earlier) => {
                *earlier = stop;
                let now = self.clock.instant();
                for running in self.attempts.iter_mut() {
                    running.kill_by(now);
                }
            }
        }
    }

    /// Interrupts every run: at once without attempts, otherwise when its attempts have ended.
    pub(crate) fn interrupt_runs(&mut self) {
        let Some(Stop { reason, .. }) = self.stopping.clone() else { return };
        for run in self.runs.ids() {
            self.handle(run, Command::Interrupt { reason: reason.clone() });
        }
    }

    /// Kills all attempts and writes nothing, because the store has just failed. Returns the attempts that are not
    /// proved dead.
    pub(crate) fn kill_all_attempts(&mut self) -> Vec<AttemptId> {
        let mut alive = Vec::new();
        for (id, mut running) in self.attempts.drain() {
            running.handle.kill();
            if !running.handle.reap(Sweep::GroupAndMarked).survivors.is_empty() {
                alive.push(id);
            }
        }
        alive
    }
}
