//! Runs attempts on the engine's own thread, for kinds that take microseconds and touch nothing outside. Claim and
//! result share a commit, also with those of the steps that follow. A crash loses both without a trace.

use crate::executors::{AttemptId, Executor};
use crate::worker::perform;
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::failure::Failure;
use stepwell_base::protocol::{FromAttempt, MetricRow, Progress};
use stepwell_run::command::Command;
use stepwell_steps::{Reporter, StepError};

use crate::clock::Clock;
use crate::engine::Engine;
use crate::error::EngineError;

impl<X: Executor, C: Clock> Engine<'_, X, C> {
    /// Runs the attempt of a step whose claim was just decided.
    pub(crate) fn attempt_inline(&mut self, id: AttemptId) -> Result<(), EngineError> {
        let Some(launch) = self.launch(&id)? else { return Ok(()) };
        let last = perform(&launch.request, &self.artifacts, &mut Nobody);
        let AttemptId { run, step, fence } = id;
        match last {
            FromAttempt::Done(outputs) => self.handle(run, Command::Complete { step, fence, outputs }),
            FromAttempt::Failed(failure) => self.handle(run, Command::Fail { step, fence, failure }),
            other => {
                let failure = Failure::fatal(format!("a step on the engine's thread ended with {other:?}"));
                self.handle(run, Command::Fail { step, fence, failure });
            }
        }
        Ok(())
    }
}

/// Discards reports: nothing is visible while the engine itself works.
struct Nobody;

impl Reporter for Nobody {
    fn progress(&mut self, _progress: Progress) {}

    fn metric(&mut self, _row: MetricRow) {}

    fn rewind(&mut self, _last_step: u64) {}

    fn checkpoint(&mut self, _checkpoint: Checkpoint) -> Result<(), StepError> {
        Err(Failure::fatal("a step kind that runs inside the engine cannot write checkpoints").into())
    }

    fn note(&mut self, _message: String) {}

    fn interrupted(&self) -> bool {
        false
    }
}
