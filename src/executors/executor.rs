//! The interface between the engine and the places where attempts run.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::core::event::ProcessIdentity;
use crate::core::failure::Failure;
use crate::core::ids::{Fence, RunId, StepId};
use crate::core::pools::Held;
use crate::core::protocol::{AttemptRequest, FromAttempt, ToAttempt};

/// One attempt, for good: a fence is never given out twice for a step.
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

/// Identifies a worker process. The system reuses process ids; this number is unique.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WorkerId(u64);

impl WorkerId {
    /// Returns an id that no worker of this process has had.
    pub fn next() -> WorkerId {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        WorkerId(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// What the engine hears of an attempt.
#[derive(Debug)]
pub enum Report {
    Message(FromAttempt),
    /// The attempt has left nothing, and nothing more will come. [`Attempt::bury`] it.
    Last(FromAttempt),
    /// The message violates the protocol, for this reason; the attempt cannot be trusted any more.
    Garbled(String),
    /// The process has ended: nothing more will come. [`Attempt::bury`] it.
    Ended,
}

/// Receives the reports of all attempts, from any thread. A worker that dies when it is given an attempt may report its
/// end although another worker has the attempt by then, so the receiver compares with [`Attempt::worker`].
pub type Sink = Arc<dyn Fn(AttemptId, WorkerId, Report) + Send + Sync>;

/// What to start.
#[derive(Clone, Debug)]
pub struct Launch {
    pub request: AttemptRequest,
    /// Length of the lease; three heartbeats fit into it.
    pub heartbeat: Duration,
    /// Units of pools that the lease holds.
    pub resources: Held,
}

impl Launch {
    pub fn id(&self) -> AttemptId {
        AttemptId { run: self.request.run, step: self.request.step.clone(), fence: self.request.fence }
    }
}

/// How far to look for what an attempt leaves behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sweep {
    /// Its process group.
    Group,
    /// Also processes that left the group but carry the attempt's id in their environment (Linux).
    GroupAndMarked,
}

/// How the process of an attempt ended.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Exit {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    /// Processes that could not be ended.
    pub survivors: Vec<u32>,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.signal, self.code) {
            (Some(9), _) => f.write_str("was killed by signal 9 (SIGKILL), possibly for lack of memory"),
            (Some(signal), _) => write!(f, "was killed by signal {signal}"),
            (None, Some(code)) => write!(f, "exited with code {code}"),
            (None, None) => f.write_str("ended"),
        }
    }
}

pub trait Executor {
    /// Starts the attempt. Reports of it go to the executor's sink, the last one is [`Report::Ended`] or
    /// [`Report::Last`].
    ///
    /// # Errors
    /// When no process or thread could be started; then nothing is reported.
    fn start(&self, launch: Launch) -> Result<Box<dyn Attempt>, Failure>;
}

/// A started attempt.
pub trait Attempt {
    fn process(&self) -> Option<&ProcessIdentity>;
    /// Reports of any other worker are ignored.
    fn worker(&self) -> WorkerId;
    /// Best effort: an attempt that cannot be reached ends by itself or by its lease.
    fn send(&mut self, message: &ToAttempt);
    /// Asks every process of the attempt to end (SIGTERM).
    fn terminate(&self);
    /// Ends every process of the attempt (SIGKILL); [`Report::Ended`] follows.
    fn kill(&self);
    /// After the last report: ends what is left, proves it dead, and releases the process id.
    fn bury(&mut self, sweep: Sweep) -> Exit;
}
