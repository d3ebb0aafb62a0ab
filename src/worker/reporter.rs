//! The reporter of an attempt in a child process.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::core::event::Checkpoint;
use crate::core::protocol::{FromAttempt, MetricRow, Progress};
use crate::faults::around;
use crate::steps::{Reporter, StepError};

use super::exec::die;

/// More progress than this is not visible.
const PROGRESS_PERIOD: Duration = Duration::from_millis(50);

/// Writes to the engine over the attempt's socket.
pub(super) struct SocketReporter {
    outgoing: Arc<Mutex<UnixStream>>,
    acknowledged: Receiver<()>,
    interrupted: Arc<AtomicBool>,
    last_progress: Option<Instant>,
}

impl SocketReporter {
    pub(super) fn new(
        outgoing: Arc<Mutex<UnixStream>>,
        acknowledged: Receiver<()>,
        interrupted: Arc<AtomicBool>,
    ) -> SocketReporter {
        SocketReporter { outgoing, acknowledged, interrupted, last_progress: None }
    }

    /// A message that cannot be sent has no reader: the engine is gone. And one that is missing would be
    /// waited for on both sides.
    fn send(&self, message: &FromAttempt) {
        if write_line(&self.outgoing, message).is_err() {
            die();
        }
    }
}

pub(super) fn write_line(outgoing: &Mutex<UnixStream>, message: &FromAttempt) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    // A whole line or none is written under the lock, so a poisoned one is as good.
    let mut outgoing = outgoing.lock().unwrap_or_else(PoisonError::into_inner);
    around!("worker.write", outgoing.write_all(&line))
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

    fn rewind(&mut self, last_step: u64) {
        self.send(&FromAttempt::Rewind { last_step });
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) -> Result<(), StepError> {
        self.send(&FromAttempt::Checkpoint(Box::new(checkpoint)));
        self.acknowledged.recv().map_err(|_| StepError::Interrupted)
    }

    fn note(&mut self, message: String) {
        self.send(&FromAttempt::Note { message });
    }

    fn interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}
