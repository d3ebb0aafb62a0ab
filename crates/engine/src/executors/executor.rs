//! The interface between the engine and the places where attempts run.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use stepwell_base::artifact::Digest;
use stepwell_base::failure::Failure;
use stepwell_base::ids::{Fence, RunId, StepId};
use stepwell_base::protocol::{AttemptRequest, FromAttempt, ToAttempt};
use stepwell_run::event::ProcessIdentity;
use stepwell_workflow::pools::Held;

/// Identifies one attempt for good: a step never receives the same fence twice.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct AttemptId {
    pub run: RunId,
    pub step: StepId,
    pub fence: Fence,
}

/// `RUN/STEP/FENCE`, the value of `STEPWELL_ATTEMPT_ID` in every process of the attempt.
impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.run, self.step, self.fence.0)
    }
}

impl AttemptId {
    /// Name of the attempt as a publisher of artifacts. Names of steps may be long, or hold what file names cannot.
    pub(crate) fn holder(&self) -> String {
        let step = Digest::of(self.step.as_str().as_bytes());
        format!("{}-{}-{}", self.run, &step.as_str()[..16], self.fence.0)
    }
}

/// Identifies a worker process for the lifetime of this process; unlike a process id, it is never reused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WorkerId(u64);

impl WorkerId {
    pub fn next() -> WorkerId {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        WorkerId(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// A message of the executor to the engine about an attempt.
#[derive(Debug)]
pub enum Report {
    Message(FromAttempt),
    /// The attempt has left nothing behind, and no report follows. Call [`Attempt::reap`].
    Last(FromAttempt),
    /// The message violates the protocol, for this reason. The attempt is no longer trustworthy.
    Garbled(String),
    /// The process has ended, and no report follows. Call [`Attempt::reap`].
    Ended,
}

/// Receives the reports of all attempts, from any thread. A worker that dies while it receives an attempt can
/// report its end after another worker has taken the attempt, so the receiver compares the worker with
/// [`Attempt::worker`].
pub type Sink = Arc<dyn Fn(AttemptId, WorkerId, Report) + Send + Sync>;

#[derive(Clone, Debug)]
pub struct Launch {
    pub request: AttemptRequest,
    /// Length of the lease. The worker sends three heartbeats in this time.
    pub heartbeat: Duration,
    /// Pool units that the lease holds.
    pub resources: Held,
    /// Name of the executor in the settings; `None` for child processes of the engine.
    pub executor: Option<String>,
}

impl Launch {
    pub fn id(&self) -> AttemptId {
        AttemptId { run: self.request.run, step: self.request.step.clone(), fence: self.request.fence }
    }
}

/// Search range for processes that an attempt leaves behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sweep {
    /// The attempt's process group.
    Group,
    /// Also processes that left the group but carry the attempt's id in their environment (Linux).
    GroupAndMarked,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Exit {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    /// The kernel killed it for lack of memory.
    pub out_of_memory: bool,
    /// Evidence of the system that ran the attempt about its end, such as the state of a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Processes that could not be killed; 0 stands for those of another machine.
    #[serde(default)]
    pub survivors: Vec<u32>,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(why) = &self.why {
            return f.write_str(why);
        }
        match (self.signal, self.code) {
            (Some(9), _) => f.write_str("was killed by signal 9 (SIGKILL), possibly for lack of memory"),
            (Some(signal), _) => write!(f, "was killed by signal {signal}"),
            (None, Some(code)) => write!(f, "exited with code {code}"),
            (None, None) => f.write_str("ended"),
        }
    }
}

/// Starts attempts, cancels them, proves them dead and delivers their reports. The engine has no other access to work.
pub trait Executor {
    /// Starts the attempt. Its reports go to the executor's sink; the last one is [`Report::Ended`] or
    /// [`Report::Last`].
    ///
    /// # Errors
    /// When no process or thread can start. No report follows then.
    fn start(&self, launch: Launch) -> Result<Box<dyn Attempt>, Failure>;

    /// Continues an attempt of a dead engine that has outlived it. Its reports go to the sink from the first one on that no engine has
    /// committed. `None` when attempts die with their engine, or this one was never given to a system.
    ///
    /// # Errors
    /// Why an attempt that may still run cannot be reached.
    fn adopt(&self, id: &AttemptId) -> Result<Option<Box<dyn Attempt>>, String>;

    /// Ends what an attempt of a dead engine has left, and proves it dead. Returns the survivors. `process` is the
    /// recorded process, if any.
    fn end_leftovers(&self, id: &AttemptId, process: Option<&ProcessIdentity>) -> Vec<u32>;

    /// Does the work of [`Executor::end_leftovers`] for every attempt of a run.
    fn end_run(&self, run: RunId) -> Vec<u32>;

    /// Ends the workers that a dead engine of this state directory has left, such as stopped ones. Returns the
    /// survivors.
    fn end_workers(&self, state_dir: &Path) -> Vec<u32>;

    /// Time at which [`Executor::retire`] has work.
    fn deadline(&self) -> Option<Instant>;

    /// Ends workers that have been idle for too long.
    fn retire(&self);
}

pub trait Attempt {
    fn process(&self) -> Option<&ProcessIdentity>;
    /// The engine ignores reports of any other worker.
    fn worker(&self) -> WorkerId;
    /// Best effort: an attempt that cannot be reached ends by itself or loses its lease.
    fn send(&mut self, message: &ToAttempt);
    /// Asks every process of the attempt to end (SIGTERM).
    fn terminate(&self);
    /// Ends every process of the attempt (SIGKILL); [`Report::Ended`] follows.
    fn kill(&self);
    /// The consequences of the first `reports` reports are committed: an engine that adopts the attempt need not hear them again.
    fn settled(&mut self, reports: u64);
    /// Call after the last report. Kills what is left, proves it dead, and releases the process id.
    fn reap(&mut self, sweep: Sweep) -> Exit;
}
