//! Removes folders beside the engine's work: nothing waits for it, but the end of the engine.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::faults::around;

/// Folders are removed once none has come for so long: to make files beside files that are being removed is slow.
const QUIET: Duration = Duration::from_secs(1);
/// The longest that a folder waits.
const PATIENCE: Duration = Duration::from_secs(10);

type Task = Box<dyn FnOnce() + Send>;

/// A thread that is started when there is something to do.
#[derive(Default)]
pub(super) struct Janitor {
    at_work: Option<(Sender<Task>, JoinHandle<()>)>,
}

impl Janitor {
    pub(super) fn remove(&mut self, folder: PathBuf) {
        self.perform(move || remove_folder(&folder));
    }

    pub(super) fn perform(&mut self, task: impl FnOnce() + Send + 'static) {
        if self.at_work.is_none() {
            let (queue, tasks) = channel::<Task>();
            let work = move || while work_off(&tasks) {};
            self.at_work = thread::Builder::new().name("janitor".into()).spawn(work).ok().map(|thread| (queue, thread));
        }
        match &self.at_work {
            // Its thread ends with the queue only.
            Some((queue, _)) => drop(queue.send(Box::new(task))),
            None => task(),
        }
    }
}

/// Waits for tasks and for a good time, and performs them; false at the end of the queue.
fn work_off(tasks: &Receiver<Task>) -> bool {
    let Ok(first) = tasks.recv() else { return false };
    let mut waiting = vec![first];
    let deadline = Instant::now() + PATIENCE;
    let more = loop {
        match tasks.recv_timeout(QUIET.min(deadline.saturating_duration_since(Instant::now()))) {
            Ok(task) => waiting.push(task),
            Err(RecvTimeoutError::Timeout) => break true,
            Err(RecvTimeoutError::Disconnected) => break false,
        }
    };
    waiting.into_iter().for_each(|task| task());
    more
}

/// Left-overs cost space only, and are removed at the next start.
pub(super) fn remove_folder(folder: &Path) {
    let _ = around!("engine.clean", fs::remove_dir_all(folder));
}

impl Drop for Janitor {
    fn drop(&mut self) {
        if let Some((queue, thread)) = self.at_work.take() {
            drop(queue);
            // A task that panicked has said so.
            let _ = thread.join();
        }
    }
}
