//! Commits what is durable, on a thread of its own: rows are computed while the engine commits earlier ones.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::handler::{CheckpointLine, StepError};
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::failure::Failure;

/// Shortest time between two commits; each is an event in the log of the run.
const PAUSE: Duration = Duration::from_millis(250);

pub(in crate::infer) struct Commits {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The newest checkpoint, with the number of rows that it covers.
    next: Option<(Checkpoint, u64)>,
    committed: u64,
    failed: Option<StepError>,
    closing: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Commits {
    pub(in crate::infer) fn start(line: Arc<dyn CheckpointLine>) -> Result<Commits, Failure> {
        let shared = Arc::new(Shared::default());
        let own = shared.clone();
        let thread = std::thread::Builder::new().name("commits".into()).spawn(move || commit(&own, line.as_ref()));
        let thread = thread.map_err(|error| Failure::io("cannot start a thread", &error))?;
        Ok(Commits { shared, thread: Some(thread) })
    }

    /// Hands over a checkpoint of what is durable. It takes the place of one that waits.
    ///
    /// # Errors
    /// When an earlier one could not be committed.
    pub(in crate::infer) fn offer(&self, checkpoint: Checkpoint, rows: u64) -> Result<(), StepError> {
        let mut state = self.shared.state();
        if let Some(error) = state.failed.take() {
            return Err(error);
        }
        state.next = Some((checkpoint, rows));
        self.shared.changed.notify_all();
        Ok(())
    }

    /// Number of rows that are committed.
    pub(in crate::infer) fn committed(&self) -> u64 {
        self.shared.state().committed
    }

    /// Commits what waits, and ends the thread.
    ///
    /// # Errors
    /// When it could not be committed.
    pub(in crate::infer) fn finish(mut self) -> Result<(), StepError> {
        self.close();
        self.shared.state().failed.take().map_or(Ok(()), Err)
    }

    fn close(&mut self) {
        self.shared.state().closing = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has left the checkpoint uncommitted, which only repeats rows.
            let _ = thread.join();
        }
    }
}

impl Drop for Commits {
    fn drop(&mut self) {
        self.close();
    }
}

fn commit(shared: &Shared, line: &dyn CheckpointLine) {
    let mut state = shared.state();
    loop {
        let Some((checkpoint, rows)) = state.next.take() else {
            if state.closing {
                return;
            }
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        drop(state);
        let committed = line.checkpoint(checkpoint);
        state = shared.state();
        match committed {
            Ok(()) => state.committed = state.committed.max(rows),
            Err(error) => {
                state.failed = Some(error);
                return;
            }
        }
        if !state.closing {
            let waited = shared.changed.wait_timeout_while(state, PAUSE, |state| !state.closing);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    /// An engine that answers when the test says so.
    struct Slow(Mutex<Receiver<Result<(), StepError>>>);

    impl CheckpointLine for Slow {
        fn checkpoint(&self, _checkpoint: Checkpoint) -> Result<(), StepError> {
            self.0.lock().unwrap().recv().unwrap_or(Err(StepError::Interrupted))
        }
    }

    #[test]
    fn rows_count_once_the_engine_has_answered() {
        let (answer, answers) = channel();
        let commits = Commits::start(Arc::new(Slow(Mutex::new(answers)))).unwrap();
        commits.offer(Checkpoint::default(), 3).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        commits.offer(Checkpoint::default(), 5).unwrap();
        assert_eq!(commits.committed(), 0);
        answer.send(Ok(())).unwrap();
        answer.send(Ok(())).unwrap();
        let shared = commits.shared.clone();
        commits.finish().unwrap();
        assert_eq!(shared.state().committed, 5);
    }

    #[test]
    fn an_engine_that_is_gone_ends_the_work() {
        let (answer, answers) = channel();
        let commits = Commits::start(Arc::new(Slow(Mutex::new(answers)))).unwrap();
        drop(answer);
        commits.offer(Checkpoint::default(), 1).unwrap();
        assert!(matches!(commits.finish(), Err(StepError::Interrupted)));
    }
}
