//! One queue of everything that the engine reacts to.

use std::io::Read;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use signal_hook::iterator::{Handle, Signals};

use crate::executors::{AttemptId, Report, Sink, WorkerId};

use crate::client::wake;
use crate::error::EngineError;
use crate::maintenance::plan::Progress;
use crate::notifier::End;
use crate::signals::stop_signals;

#[derive(Debug)]
pub(crate) enum Message {
    Attempt(AttemptId, WorkerId, Report),
    Signal(i32),
    /// Another process has written to the database.
    Wake,
    /// Text for the observer, from a thread of the engine.
    Warning(String),
    /// From the thread that cleans up.
    CleanUp(Progress),
    /// The notifier has told the end of a run, or has failed for good.
    Told {
        end: End,
        problem: Option<String>,
    },
}

/// Maximum number of queued messages. A worker that sends faster blocks once its socket is full.
pub(crate) const CAPACITY: usize = 1024;

/// The queue, and the threads that fill it until it is dropped.
pub(crate) struct Inbox {
    pub receiver: Receiver<Message>,
    pub sender: SyncSender<Message>,
    #[expect(dead_code, reason = "ends the threads when it is dropped")]
    sources: Option<Sources>,
}

/// Ends the threads that fill the queue.
struct Sources {
    signals: Handle,
    state_dir: std::path::PathBuf,
}

impl Inbox {
    /// Opens the queue and starts the threads that fill it.
    ///
    /// # Errors
    /// When signals cannot be caught or the FIFO cannot be created.
    pub(crate) fn open(state_dir: &Path) -> Result<Inbox, EngineError> {
        let (sender, receiver) = sync_channel(CAPACITY);
        let mut signals = Signals::new(stop_signals()).map_err(EngineError::system("listen for signals"))?;
        let handle = signals.handle();
        let mut fifo = wake::listen(state_dir)?;
        let for_signals = sender.clone();
        let for_wake = sender.clone();
        thread::spawn(move || {
            for signal in signals.forever() {
                if for_signals.send(Message::Signal(signal)).is_err() {
                    return;
                }
            }
        });
        thread::spawn(move || {
            let mut bytes = [0; 64];
            while let Ok(count) = fifo.read(&mut bytes) {
                if bytes[..count].contains(&wake::STOP) || for_wake.send(Message::Wake).is_err() {
                    return;
                }
            }
        });
        Ok(Inbox { receiver, sender, sources: Some(Sources { signals: handle, state_dir: state_dir.to_owned() }) })
    }

    /// A queue that only its sender fills.
    #[cfg(test)]
    pub(crate) fn detached() -> Inbox {
        let (sender, receiver) = sync_channel(CAPACITY);
        Inbox { receiver, sender, sources: None }
    }

    /// Returns the sink that receives the reports of attempts.
    pub(crate) fn sink(&self) -> Sink {
        let sender = self.sender.clone();
        // A report to an engine that is gone has no receiver.
        std::sync::Arc::new(move |id, worker, report| drop(sender.send(Message::Attempt(id, worker, report))))
    }
}

impl Drop for Sources {
    /// Does not wait for the threads: a person may have removed the FIFO under one of them.
    fn drop(&mut self) {
        self.signals.close();
        wake::stop(&self.state_dir);
    }
}
