//! Attempts on the engine's own thread, for kinds whose work takes milliseconds: handing such work to
//! another thread and back would take longer than the work.

use crate::artifact::ArtifactStore;
use crate::core::event::{Checkpoint, ProcessIdentity};
use crate::core::failure::Failure;
use crate::core::protocol::{FromAttempt, MetricRow, Progress, ToAttempt};
use crate::steps::{Reporter, StepError};
use crate::worker::perform;

use super::executor::{Attempt, AttemptId, Executor, Exit, Launch, Report, Sink, Sweep};

/// Runs each attempt to its end before `start` returns; the reports wait in the sink.
pub struct InProcess {
    artifacts: ArtifactStore,
    sink: Sink,
}

impl InProcess {
    pub fn new(artifacts: ArtifactStore, sink: Sink) -> InProcess {
        InProcess { artifacts, sink }
    }
}

impl Executor for InProcess {
    fn start(&self, launch: Launch) -> Result<Box<dyn Attempt>, Failure> {
        let id = launch.id();
        let mut reporter = Direct { id: id.clone(), sink: self.sink.clone() };
        let last = perform(&launch.request, &self.artifacts, &mut reporter);
        (self.sink)(id, Report::Last(last));
        Ok(Box::new(InProcessAttempt))
    }
}

struct Direct {
    id: AttemptId,
    sink: Sink,
}

impl Direct {
    fn send(&self, message: FromAttempt) {
        (self.sink)(self.id.clone(), Report::Message(message));
    }
}

impl Reporter for Direct {
    fn progress(&mut self, progress: Progress) {
        self.send(FromAttempt::Progress(progress));
    }

    fn metric(&mut self, row: MetricRow) {
        self.send(FromAttempt::Metric(row));
    }

    fn rewind(&mut self, last_step: u64) {
        self.send(FromAttempt::Rewind { last_step });
    }

    fn checkpoint(&mut self, _checkpoint: Checkpoint) -> Result<(), StepError> {
        Err(Failure::fatal("a step kind that runs inside the engine cannot write checkpoints").into())
    }

    fn note(&mut self, message: String) {
        self.send(FromAttempt::Note { message });
    }

    fn interrupted(&self) -> bool {
        false
    }
}

/// Nothing to signal: the work is over.
struct InProcessAttempt;

impl Attempt for InProcessAttempt {
    fn process(&self) -> Option<&ProcessIdentity> {
        None
    }

    fn note_group(&mut self, _leader: u32) {}

    fn send(&mut self, _message: &ToAttempt) {}

    fn terminate(&self) {}

    fn kill(&self) {}

    fn bury(&mut self, _sweep: Sweep) -> Exit {
        Exit::default()
    }
}
