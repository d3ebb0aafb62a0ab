//! Removes folders on a background thread. Only the end of the engine waits for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use stepwell_base::faults::around;

/// Idle time before deletion: creating and unlinking in one directory at once is slow.
const QUIET: Duration = Duration::from_secs(1);
/// Longest delay of a deletion while folders keep arriving.
const PATIENCE: Duration = Duration::from_secs(10);

enum Task {
    Perform(Box<dyn FnOnce(&AtomicBool) + Send>),
    Remove(PathBuf),
}

/// Background thread that starts with its first task.
#[derive(Default)]
pub(crate) struct Janitor {
    at_work: Option<(Sender<Task>, JoinHandle<()>)>,
    /// True while the engine ends and waits for the thread.
    ending: Arc<AtomicBool>,
}

impl Janitor {
    /// Removes a folder once no more folders arrive.
    pub(crate) fn remove(&mut self, folder: PathBuf) {
        self.queue(Task::Remove(folder));
    }

    /// Runs a task on the thread. A long task polls the flag and stops when it is true.
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
            // The thread ends only when the queue closes.
            (Some((queue, _)), task) => drop(queue.send(task)),
            (None, Task::Perform(task)) => task(&self.ending),
            (None, Task::Remove(folder)) => remove_folder(&folder),
        }
    }
}

/// Waits for tasks and removes folders once no more arrive. Returns false at the end of the queue.
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

/// Removes a folder. Leftovers cost only space; the next start removes them.
pub(crate) fn remove_folder(folder: &Path) {
    let _ = around!("engine.clean", fs::remove_dir_all(folder));
}

impl Drop for Janitor {
    fn drop(&mut self) {
        if let Some((queue, thread)) = self.at_work.take() {
            self.ending.store(true, Ordering::Relaxed);
            drop(queue);
            // A task that panicked has already reported it.
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
