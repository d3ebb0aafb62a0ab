//! Attempts on one thread of the engine, for kinds whose work takes milliseconds.

use std::sync::mpsc::{Sender, channel};
use std::thread;

use crate::artifact::ArtifactStore;
use crate::core::event::{Checkpoint, ProcessIdentity};
use crate::core::failure::{Failure, FailureKind};
use crate::core::protocol::{FromAttempt, MetricRow, Progress, ToAttempt};
use crate::steps::{Reporter, StepError};
use crate::worker::perform;

use super::executor::{Attempt, AttemptId, Executor, Exit, Launch, Report, Sink, Sweep};

/// Runs attempts one after the other on a thread that ends with this value.
pub struct InProcess {
    queue: Sender<Launch>,
}

impl InProcess {
    pub fn new(artifacts: ArtifactStore, sink: Sink) -> InProcess {
        let (queue, work) = channel::<Launch>();
        thread::spawn(move || {
            for launch in work {
                let id = launch.id();
                let mut reporter = Direct { id: id.clone(), sink: sink.clone() };
                let last = perform(&launch.request, &artifacts, &mut reporter);
                sink(id.clone(), Report::Message(last));
                sink(id, Report::Ended);
            }
        });
        InProcess { queue }
    }
}

impl Executor for InProcess {
    fn start(&self, launch: Launch) -> Result<Box<dyn Attempt>, Failure> {
        match self.queue.send(launch) {
            Ok(()) => Ok(Box::new(InProcessAttempt)),
            Err(error) => Err(Failure::from_error(FailureKind::Fatal, &error)),
        }
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

/// Nothing to signal: the work is over in milliseconds.
struct InProcessAttempt;

impl Attempt for InProcessAttempt {
    fn process(&self) -> Option<&ProcessIdentity> {
        None
    }

    fn send(&mut self, _message: &ToAttempt) {}

    fn terminate(&self) {}

    fn kill(&self) {}

    fn bury(&mut self, _sweep: Sweep) -> Exit {
        Exit::default()
    }
}
