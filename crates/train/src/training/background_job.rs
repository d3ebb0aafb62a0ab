//! Runs work beside the thread of the loop. One step of a large model takes seconds, and a process that was told to
//! stop may not have that long.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// Interval at which the caller polls the stop request during a job.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

type Job<T> = Box<dyn FnOnce() -> T + Send>;

/// A thread for jobs. When this value is dropped, the thread ends after its current job.
pub(super) struct BackgroundJob<T> {
    jobs: Sender<Job<T>>,
    results: Receiver<thread::Result<T>>,
}

impl<T: Send + 'static> BackgroundJob<T> {
    pub(super) fn spawn(name: &str) -> std::io::Result<Self> {
        let (jobs, waiting) = channel::<Job<T>>();
        let (done, results) = channel();
        let work = move || {
            for job in waiting {
                if done.send(catch_unwind(AssertUnwindSafe(job))).is_err() {
                    break;
                }
            }
        };
        thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(BackgroundJob { jobs, results })
    }

    /// Starts a job. The caller must call [`BackgroundJob::result`] before it starts the next one.
    pub(super) fn start(&self, job: impl FnOnce() -> T + Send + 'static) {
        self.jobs.send(Box::new(job)).expect("the thread takes jobs for as long as it can answer");
    }

    /// Result of the job, or `None` as soon as `stop` returns true. After `None`, the caller must not start another
    /// job.
    ///
    /// # Panics
    /// When the job panics.
    pub(super) fn result(&self, stop: impl Fn() -> bool) -> Option<T> {
        loop {
            match self.results.recv_timeout(POLL_INTERVAL) {
                Ok(result) => return Some(result.unwrap_or_else(|panic| resume_unwind(panic))),
                Err(RecvTimeoutError::Timeout) if stop() => return None,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => unreachable!("the thread answers every job"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_stop_does_not_wait_for_the_job() {
        let background = BackgroundJob::spawn("test").unwrap();
        let (release, released) = channel::<()>();
        background.start(move || released.recv().is_ok());
        let asked = Cell::new(0);
        assert_eq!(background.result(|| asked.replace(asked.get() + 1) == 1), None);
        release.send(()).unwrap();
    }

    #[test]
    fn results_come_back_in_order_and_so_do_panics() {
        let background = BackgroundJob::spawn("test").unwrap();
        let result = |job: fn() -> u32| {
            background.start(job);
            background.result(|| false)
        };
        assert_eq!(result(|| 1), Some(1));
        assert_eq!(result(|| 2), Some(2));
        let panic = catch_unwind(AssertUnwindSafe(|| result(|| panic!("the job is broken"))));
        assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"the job is broken"));
        assert_eq!(result(|| 3), Some(3));
    }
}
