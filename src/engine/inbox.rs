//! Everything that the engine reacts to, in one queue.

use std::io::Read;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use crate::executors::{AttemptId, Report, Sink};

use super::error::EngineError;
use super::wake;

#[derive(Debug)]
pub(super) enum Message {
    Attempt(AttemptId, Report),
    Signal(i32),
    /// Another process has left something in the database.
    Wake,
}

/// The queue, and the threads that fill it until it is dropped.
pub(super) struct Inbox {
    pub receiver: Receiver<Message>,
    sender: Sender<Message>,
    signals: Handle,
    threads: Vec<JoinHandle<()>>,
    state_dir: std::path::PathBuf,
}

impl Inbox {
    /// # Errors
    /// When signals cannot be caught or the FIFO cannot be made.
    pub(super) fn open(state_dir: &Path) -> Result<Inbox, EngineError> {
        let (sender, receiver) = channel();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(EngineError::system("listen for signals"))?;
        let handle = signals.handle();
        let mut fifo = wake::listen(state_dir)?;
        let for_signals = sender.clone();
        let for_wake = sender.clone();
        let threads = vec![
            thread::spawn(move || {
                for signal in signals.forever() {
                    if for_signals.send(Message::Signal(signal)).is_err() {
                        return;
                    }
                }
            }),
            thread::spawn(move || {
                let mut bytes = [0; 64];
                while let Ok(count) = fifo.read(&mut bytes) {
                    if bytes[..count].contains(&wake::STOP) || for_wake.send(Message::Wake).is_err() {
                        return;
                    }
                }
            }),
        ];
        Ok(Inbox { receiver, sender, signals: handle, threads, state_dir: state_dir.to_owned() })
    }

    /// Where attempts report to.
    pub(super) fn sink(&self) -> Sink {
        let sender = self.sender.clone();
        // Reports to an engine that has gone are of no interest.
        std::sync::Arc::new(move |id, report| drop(sender.send(Message::Attempt(id, report))))
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.signals.close();
        wake::stop(&self.state_dir);
        for thread in self.threads.drain(..) {
            // A thread that panicked has nothing left to say.
            let _ = thread.join();
        }
    }
}
