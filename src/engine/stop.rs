//! Stopping in the middle so that everything can go on later.

use std::time::Duration;

use crate::core::decide::Command;
use crate::core::ids::RunId;
use crate::executors::Sweep;

use super::drive::Engine;

/// Why the engine stops.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Stop {
    pub reason: String,
}

impl Stop {
    pub(super) fn for_signal(signal: i32) -> Stop {
        let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
        Stop { reason: format!("stopped by {name}") }
    }

    pub(super) fn for_full_disk(reason: String) -> Stop {
        Stop { reason }
    }
}

impl Engine<'_> {
    /// The first time, attempts may write a checkpoint; asked again, they are killed at once.
    pub(super) fn stop(&mut self, stop: Stop) {
        if self.stopping.is_some() {
            for running in self.attempts.iter_mut() {
                running.kill_within(Duration::ZERO);
            }
            return;
        }
        self.stopping = Some(stop);
        self.interrupt_runs();
    }

    /// Interrupts every run; those without attempts at once, the others when their attempts have ended.
    pub(super) fn interrupt_runs(&mut self) {
        let Some(Stop { reason }) = self.stopping.clone() else { return };
        let runs: Vec<RunId> = self.runs.keys().copied().collect();
        for run in runs {
            self.handle(run, Command::Interrupt { reason: reason.clone() });
        }
    }

    /// Without a word to the store, which is of no use any more.
    pub(super) fn kill_everything(&mut self) {
        for mut running in self.attempts.drain() {
            running.handle.kill();
            running.handle.bury(Sweep::GroupAndMarked);
        }
    }
}
