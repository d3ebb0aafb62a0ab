//! The thread that brings the event files up to date.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::changes::Changes;
use super::mirror::Mirror;
use super::place::Place;
use super::series::Haste;
use crate::error::CliError;
use crate::session::Session;
use stepwell_config::Switch;

/// Time in which changes are collected.
const INTERVAL: Duration = Duration::from_secs(1);

/// Shows one line to a person.
type Print = dyn Fn(&str) + Send + Sync;

/// A queue of changes; its thread ends with [`Follower::finish`].
pub struct Follower {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    changes: Changes,
    is_over: bool,
}

/// Starts to keep the event files of a state directory up to date, unless the settings switch them off. `print` shows one
/// line to a person.
pub fn follow(session: &Session, print: impl Fn(&str) + Send + Sync + 'static) -> Option<Follower> {
    match session.settings.tensorboard.value {
        Switch::On => Some(Follower::start(session.state_dir(), print)),
        Switch::Off => None,
    }
}

impl Follower {
    /// Starts the thread, which first brings up to date what an earlier process has left.
    fn start(state_dir: &Path, print: impl Fn(&str) + Send + Sync + 'static) -> Follower {
        let queue = Arc::new(Queue::default());
        let thread = {
            let (queue, state_dir) = (Arc::clone(&queue), state_dir.to_owned());
            std::thread::spawn(move || serve(&queue, state_dir, &print))
        };
        Follower { queue, thread: Some(thread) }
    }

    /// Adds changes that are committed. Takes a lock that is never held for long.
    pub fn note(&self, note: impl FnOnce(&mut Changes)) {
        let mut state = self.queue.lock();
        let was_empty = state.changes.is_empty();
        note(&mut state.changes);
        if was_empty {
            self.queue.wake.notify_one();
        }
    }

    /// Waits until the files are up to date.
    pub fn finish(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.queue.lock().is_over = true;
        self.queue.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic has been printed; the run does not depend on these files.
            let _ = thread.join();
        }
    }
}

/// Also when the engine fails.
impl Drop for Follower {
    fn drop(&mut self) {
        self.end();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for changes, or until something is due.
    fn take(&self, due: Option<Instant>) -> (Changes, Haste) {
        let mut state = self.lock();
        while state.changes.is_empty() && !state.is_over {
            state = match due.map(|due| due.saturating_duration_since(Instant::now())) {
                Some(Duration::ZERO) => break,
                Some(left) => self.wake.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        let haste = if state.is_over { Haste::Now } else { Haste::Later };
        (std::mem::take(&mut state.changes), haste)
    }

    /// Collects changes for a while. The end of the run is not made to wait.
    fn collect(&self) {
        let state = self.lock();
        let _ = self.wake.wait_timeout_while(state, INTERVAL, |state| !state.is_over);
    }
}

fn serve(queue: &Queue, state_dir: PathBuf, print: &Print) {
    let mut warned = false;
    let mut warn = |error: CliError| {
        if !std::mem::replace(&mut warned, true) {
            let message = error.message();
            print(&format!("warning: the TensorBoard files are not complete: {message}; the run continues"));
        }
    };
    let mut mirror = match Mirror::open(&state_dir, Place::of_state(&state_dir)) {
        Ok(mirror) => mirror,
        Err(error) => return warn(error),
    };
    let left = mirror.left_open();
    let mut outcome = mirror.apply(left, Haste::Later);
    loop {
        if let Err(error) = outcome {
            warn(error);
        }
        let (changes, haste) = queue.take(mirror.due());
        outcome = mirror.apply(changes, haste);
        if haste == Haste::Now {
            if let Err(error) = outcome {
                warn(error);
            }
            return;
        }
        queue.collect();
    }
}
