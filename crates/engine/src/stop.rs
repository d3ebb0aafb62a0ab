//! Stopping in the middle so that everything can go on later.

use std::fmt;

use crate::executors::{AttemptId, Executor, Sweep};
use stepwell_base::ids::{Fence, StepId};
use stepwell_run::command::Command;
use stepwell_run::event::ReleaseCause;

use super::attempts::INTERRUPT_GRACE;
use super::clock::Clock;
use super::disk;
use super::drive::Engine;

/// Why the engine stops.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Stop {
    pub reason: String,
    /// Bytes that have to be free before it goes on by itself; `None` when it ends.
    pub until_free: Option<u64>,
}

impl Stop {
    pub(super) fn for_signal(signal: i32) -> Stop {
        let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
        Stop { reason: format!("stopped by {name}"), until_free: None }
    }

    pub(super) fn for_full_disk(cause: &dyn fmt::Display, needed_bytes: Option<u64>) -> Stop {
        Stop { reason: format!("the disk is full: {cause}"), until_free: Some(disk::until_free(needed_bytes)) }
    }
}

/// Releases an attempt without counting a failure.
pub(super) fn stopped(step: StepId, fence: Fence, reason: String) -> Command {
    Command::Release { step, fence, cause: ReleaseCause::Stopped, reason }
}

impl<X: Executor, C: Clock> Engine<'_, X, C> {
    /// The first time, attempts may write a checkpoint; asked again, they are killed at once.
    pub(super) fn stop(&mut self, stop: Stop) {
        match &mut self.stopping {
            None => {
                if stop.until_free.is_none() && !self.attempts.is_empty() {
                    self.observer.stopping(INTERRUPT_GRACE);
                }
                self.stopping = Some(stop);
                self.interrupt_runs();
            }
            // Several attempts may find the disk full; the one that needs most says when to go on.
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

    /// Interrupts every run; those without attempts at once, the others when their attempts have ended.
    pub(super) fn interrupt_runs(&mut self) {
        let Some(Stop { reason, .. }) = self.stopping.clone() else { return };
        for run in self.runs.ids() {
            self.handle(run, Command::Interrupt { reason: reason.clone() });
        }
    }

    /// Writes nothing, because the store has just failed. Returns the attempts that are not proved dead.
    pub(super) fn kill_everything(&mut self) -> Vec<AttemptId> {
        let mut alive = Vec::new();
        for (id, mut running) in self.attempts.drain() {
            running.handle.kill();
            if !running.handle.bury(Sweep::GroupAndMarked).survivors.is_empty() {
                alive.push(id);
            }
        }
        alive
    }
}
