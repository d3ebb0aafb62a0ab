//! Reports of an attempt in a child process.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::faults::around;
use stepwell_base::protocol::{FromAttempt, MetricRow, Progress, SeriesChange};
use stepwell_steps::{CheckpointLine, Reporter, StepError};

use super::exec::die;

/// Minimum time between two progress messages; faster progress is not visible.
const PROGRESS_PERIOD: Duration = Duration::from_millis(50);

pub(super) struct SocketReporter {
    line: Arc<SocketLine>,
    interrupted: Arc<AtomicBool>,
    last_progress: Option<Instant>,
}

/// The socket, shared by all threads of the attempt.
struct SocketLine {
    outgoing: Arc<Mutex<UnixStream>>,
    /// Locked from the checkpoint to its acknowledgement, because acknowledgements carry no number.
    acknowledged: Mutex<Receiver<()>>,
}

impl SocketReporter {
    pub(super) fn new(
        outgoing: Arc<Mutex<UnixStream>>,
        acknowledged: Receiver<()>,
        interrupted: Arc<AtomicBool>,
    ) -> SocketReporter {
        let line = Arc::new(SocketLine { outgoing, acknowledged: Mutex::new(acknowledged) });
        SocketReporter { line, interrupted, last_progress: None }
    }

    fn send(&self, message: &FromAttempt) {
        self.line.send(message);
    }
}

impl SocketLine {
    /// Dies when the message cannot be sent: the engine is gone, or both sides would wait for the lost message.
    fn send(&self, message: &FromAttempt) {
        if write_lines(&self.outgoing, std::slice::from_ref(message)).is_err() {
            die();
        }
    }
}

impl CheckpointLine for SocketLine {
    fn checkpoint(&self, checkpoint: Checkpoint) -> Result<(), StepError> {
        let acknowledged = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        self.send(&FromAttempt::Checkpoint(Box::new(checkpoint)));
        acknowledged.recv().map_err(|_| StepError::Interrupted)
    }
}

pub(super) fn write_lines(outgoing: &Mutex<UnixStream>, messages: &[FromAttempt]) -> std::io::Result<()> {
    let mut lines = Vec::new();
    for message in messages {
        serde_json::to_writer(&mut lines, message)?;
        lines.push(b'\n');
    }
    // A poisoned lock is harmless: a panic cannot leave part of a line behind.
    let mut outgoing = outgoing.lock().unwrap_or_else(PoisonError::into_inner);
    around!("worker.write", outgoing.write_all(&lines))
}

impl Reporter for SocketReporter {
    fn progress(&mut self, progress: Progress) {
        if self.last_progress.is_none_or(|at| at.elapsed() >= PROGRESS_PERIOD) {
            self.last_progress = Some(Instant::now());
            self.send(&FromAttempt::Progress(progress));
        }
    }

    fn metric(&mut self, row: MetricRow) {
        self.send(&FromAttempt::Metric(row));
    }

    fn series(&mut self, change: SeriesChange) {
        self.send(&FromAttempt::Series(change));
    }

    fn rewind(&mut self, last_step: u64) {
        self.send(&FromAttempt::Rewind { last_step });
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) -> Result<(), StepError> {
        self.line.checkpoint(checkpoint)
    }

    fn checkpoint_line(&self) -> Arc<dyn CheckpointLine> {
        self.line.clone()
    }

    fn note(&mut self, message: String) {
        self.send(&FromAttempt::Note { message });
    }

    fn group(&mut self, leader: u32) {
        self.send(&FromAttempt::Group { leader });
    }

    fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}
