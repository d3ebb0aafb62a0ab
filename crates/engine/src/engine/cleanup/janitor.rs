//! Removes folders beside the engine's work: nothing waits for it, but the end of the engine.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use stepwell_base::faults::around;

/// Folders are removed once none has come for so long: to make files beside files that are being removed is slow.
const QUIET: Duration = Duration::from_secs(1);
/// The longest that a folder waits.
const PATIENCE: Duration = Duration::from_secs(10);

enum Task {
    Perform(Box<dyn FnOnce(&AtomicBool) + Send>),
    Remove(PathBuf),
}

/// A thread that is started when there is something to do.
#[derive(Default)]
pub(crate) struct Janitor {
    at_work: Option<(Sender<Task>, JoinHandle<()>)>,
    /// The engine is ending and waits for the thread.
    ending: Arc<AtomicBool>,
}

impl Janitor {
    /// When there is time.
    pub(crate) fn remove(&mut self, folder: PathBuf) {
        self.queue(Task::Remove(folder));
    }

    /// Long tasks check regularly whether the engine is ending.
    pub(crate) fn perform(&mut self, task: impl FnOnce(&AtomicBool) + Send + 'static) {
        self.queue(Task::Perform(Box::new(task)));
    }

    fn queue(&mut self, task: Task) {
        if self.at_work.is_none() {
            let (queue, tasks) = channel::<Task>();
            let ending = self.ending.clone();
            let work = move || while work_off(&tasks, &ending) {};
            self.at_work = thread::Builder::new().name("janitor".into()).spawn(work).ok().map(|thread| (queue, thread));
        }
        match (&self.at_work, task) {
            // Its thread ends with the queue only.
            (Some((queue, _)), task) => drop(queue.send(task)),
            (None, Task::Perform(task)) => task(&self.ending),
            (None, Task::Remove(folder)) => remove_folder(&folder),
        }
    }
}

/// Waits for tasks; removes folders at a good time. False at the end of the queue.
fn work_off(tasks: &Receiver<Task>, ending: &AtomicBool) -> bool {
    let mut folders = match tasks.recv() {
        Ok(Task::Remove(folder)) => vec![folder],
        Ok(Task::Perform(task)) => {
            task(ending);
            return true;
        }
        Err(_) => return false,
    };
    let deadline = Instant::now() + PATIENCE;
    let more = loop {
        match tasks.recv_timeout(QUIET.min(deadline.saturating_duration_since(Instant::now()))) {
            Ok(Task::Remove(folder)) => folders.push(folder),
            Ok(Task::Perform(task)) => task(ending),
            Err(RecvTimeoutError::Timeout) => break true,
            Err(RecvTimeoutError::Disconnected) => break false,
        }
    };
    folders.iter().for_each(|folder| remove_folder(folder));
    more
}

/// Left-overs cost space only, and are removed at the next start.
pub(crate) fn remove_folder(folder: &Path) {
    let _ = around!("engine.clean", fs::remove_dir_all(folder));
}

impl Drop for Janitor {
    fn drop(&mut self) {
        if let Some((queue, thread)) = self.at_work.take() {
            self.ending.store(true, Ordering::Relaxed);
            drop(queue);
            // A task that panicked has said so.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_task_sees_that_the_engine_ends() {
        let mut janitor = Janitor::default();
        janitor.perform(|ending| {
            while !ending.load(Ordering::Relaxed) {
                thread::yield_now();
            }
        });
        drop(janitor);
    }
}
