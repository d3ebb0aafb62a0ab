//! The attempts that this engine has started, until their processes are proved dead.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::executors::{Attempt, AttemptId};
use serde_json::Value;
use stepwell_base::failure::Failure;
use stepwell_base::ids::RunId;
use stepwell_base::secret::StandIns;
use stepwell_run::estimate::ProgressMark;
use stepwell_workflow::pools::Held;

/// Time that an attempt has to exit after its last message or a cancel.
pub const EXIT_GRACE: Duration = Duration::from_secs(5);
/// Time that an attempt has to write its checkpoint and answer an interrupt.
pub(crate) const INTERRUPT_GRACE: Duration = Duration::from_secs(10);
/// Pause between two tries to end processes that hang in the kernel.
pub(crate) const REAP_PAUSE: Duration = Duration::from_secs(1);

/// Reason for a release because the run was paused, not because the engine stopped.
pub(crate) const ASKED_TO_STOP: &str = "the attempt was asked to stop";

/// Report to make once the attempt is proved dead.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Ending {
    /// The result is already committed.
    Done,
    Fail(Failure),
    Release(String),
    Cancel,
}

pub(crate) struct Running {
    pub handle: Box<dyn Attempt>,
    pub number: u32,
    /// Name of the executor; `None` for child processes.
    pub executor: Option<String>,
    /// An earlier engine has started it.
    pub adopted: bool,
    /// Reports that this engine has received, and how many of them are committed.
    pub reports: u64,
    pub settled: u64,
    /// Pool units, held until the processes are proved dead.
    pub resources: Held,
    pub progress: Option<ProgressMark>,
    /// `None` while the attempt works.
    pub ending: Option<Ending>,
    /// The fence is void, so the engine ignores further messages of the attempt.
    pub silenced: bool,
    /// The process has ended, but its whole group is not proved dead.
    pub ended: bool,
    /// The attempt was asked to write a checkpoint and stop, so a later failure is not its fault.
    pub interrupted: bool,
    /// Time at which the attempt is killed unless it ends earlier.
    pub kill_at: Option<Instant>,
}

impl Running {
    pub(crate) fn new(handle: Box<dyn Attempt>, number: u32, resources: Held) -> Running {
        Running {
            handle,
            number,
            executor: None,
            adopted: false,
            reports: 0,
            settled: 0,
            resources,
            progress: None,
            ending: None,
            silenced: false,
            ended: false,
            interrupted: false,
            kill_at: None,
        }
    }

    /// Kills the attempt at `at` unless an earlier time is set.
    pub(crate) fn kill_by(&mut self, at: Instant) {
        self.kill_at = Some(self.kill_at.map_or(at, |earlier| earlier.min(at)));
    }
}

/// The input of an attempt; its key was computed from the same data.
pub(crate) struct Prepared {
    pub with: Value,
    pub fingerprint: Value,
    /// Stand-ins for the secrets in `with`.
    pub secrets: StandIns,
    /// Name of the executor; `None` for child processes.
    pub executor: Option<String>,
}

#[derive(Default)]
pub(crate) struct Attempts {
    all: BTreeMap<AttemptId, Running>,
}

impl Attempts {
    pub(crate) fn insert(&mut self, id: AttemptId, running: Running) {
        self.all.insert(id, running);
    }

    pub(crate) fn get_mut(&mut self, id: &AttemptId) -> Option<&mut Running> {
        self.all.get_mut(id)
    }

    pub(crate) fn get(&self, id: &AttemptId) -> Option<&Running> {
        self.all.get(id)
    }

    pub(crate) fn has(&self, id: &AttemptId) -> bool {
        self.all.contains_key(id)
    }

    pub(crate) fn remove(&mut self, id: &AttemptId) -> Option<Running> {
        self.all.remove(id)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Number of attempts that hold a slot. An attempt whose result is committed only has to exit.
    pub(crate) fn working(&self) -> usize {
        self.all.values().filter(|a| a.ending != Some(Ending::Done)).count()
    }

    /// The executor of each attempt that holds a slot.
    pub(crate) fn executors(&self) -> impl Iterator<Item = Option<&str>> {
        self.all.values().filter(|a| a.ending != Some(Ending::Done)).map(|a| a.executor.as_deref())
    }

    /// Tells every attempt which of its reports are committed now.
    pub(crate) fn settle(&mut self) {
        for running in self.all.values_mut().filter(|running| running.reports > running.settled) {
            running.settled = running.reports;
            running.handle.settled(running.reports);
        }
    }

    pub(crate) fn of_run(&self, run: RunId) -> bool {
        self.all.keys().any(|id| id.run == run)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&AttemptId, &Running)> {
        self.all.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Running> {
        self.all.values_mut()
    }

    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (AttemptId, Running)> + use<> {
        std::mem::take(&mut self.all).into_iter()
    }

    pub(crate) fn next_kill(&self) -> Option<Instant> {
        self.all.values().filter_map(|attempt| attempt.kill_at).min()
    }

    /// Returns attempts whose kill time has passed, each only once.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<AttemptId> {
        let due = self.all.iter_mut().filter(|(_, attempt)| attempt.kill_at.is_some_and(|at| at <= now));
        due.map(|(id, attempt)| {
            attempt.kill_at = None;
            id.clone()
        })
        .collect()
    }
}
