//! The loop: claim, commit, act, listen.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::mpsc::RecvTimeoutError;

use jiff::Timestamp;
use serde_json::Value;

use crate::artifact::ArtifactStore;
use crate::core::catalog::Placement;
use crate::core::decide::Command;
use crate::core::ids::RunId;
use crate::core::state::{Lifecycle, RunEnd};
use crate::core::status::RunStatus;
use crate::executors::{AttemptId, Executor, InProcess, Local, Sink};
use crate::steps::own_binary;
use crate::store::{EngineLock, Store};

use super::attempts::Attempts;
use super::commit::Pending;
use super::disk;
use super::error::EngineError;
use super::inbox::Inbox;
use super::options::{EngineOptions, Observer, Outcome, Scope};
use super::run::Run;
use super::stop::Stop;

/// Drives runs until they have ended, or until SIGINT, SIGTERM or SIGHUP: the first lets attempts write
/// their checkpoints, the second kills them at once.
///
/// # Errors
/// When another engine holds the state directory, or the state cannot be read or written. A failed step
/// is an [`Outcome`], and so is a full disk.
pub fn drive(options: EngineOptions, observer: &mut dyn Observer) -> Result<Outcome, EngineError> {
    let lock = EngineLock::acquire(&options.state_dir)?;
    drive_locked(&lock, options, observer)
}

/// [`drive`] for the holder of the lock.
pub(super) fn drive_locked(
    lock: &EngineLock,
    options: EngineOptions,
    observer: &mut dyn Observer,
) -> Result<Outcome, EngineError> {
    let mut store = Store::open(&options.state_dir)?;
    store.begin_epoch(lock)?;
    let artifacts = ArtifactStore::open(&options.state_dir)?;
    artifacts.clean_temp()?;
    let inbox = Inbox::open(&options.state_dir)?;
    let executors = Executors::new(&artifacts, &inbox.sink())?;
    let mut engine = Engine {
        options,
        observer,
        store,
        artifacts,
        executors,
        runs: BTreeMap::new(),
        bystanders: BTreeSet::new(),
        attempts: Attempts::default(),
        prepared: HashMap::new(),
        pending: Pending::default(),
        stopping: None,
        looked_at: Timestamp::now(),
    };
    engine.drive(&inbox)
}

pub(super) struct Engine<'a> {
    pub options: EngineOptions,
    pub observer: &'a mut dyn Observer,
    pub store: Store,
    pub artifacts: ArtifactStore,
    executors: Executors,
    pub runs: BTreeMap<RunId, Run>,
    /// In memory to answer requests only: nothing of them is run.
    pub bystanders: BTreeSet<RunId>,
    pub attempts: Attempts,
    /// Resolved arguments of attempts that are leased but not started.
    pub prepared: HashMap<AttemptId, Value>,
    pub pending: Pending,
    pub stopping: Option<Stop>,
    /// When leases were last checked.
    pub looked_at: Timestamp,
}

struct Executors {
    in_process: InProcess,
    local: Local,
}

impl Executors {
    fn new(artifacts: &ArtifactStore, sink: &Sink) -> Result<Executors, EngineError> {
        let program = own_binary().map_err(EngineError::system("find this program's own path"))?;
        Ok(Executors {
            in_process: InProcess::new(artifacts.clone(), sink.clone()),
            local: Local::new(program, sink.clone()),
        })
    }
}

impl Engine<'_> {
    fn drive(&mut self, inbox: &Inbox) -> Result<Outcome, EngineError> {
        match self.run(inbox) {
            Ok(outcome) => Ok(outcome),
            Err(error) if error.is_no_space() => {
                self.kill_everything();
                self.interrupt_on_full_disk(error)
            }
            Err(error) => {
                self.kill_everything();
                Err(error)
            }
        }
    }

    fn run(&mut self, inbox: &Inbox) -> Result<Outcome, EngineError> {
        disk::reserve(&self.options.state_dir)?;
        self.recover()?;
        self.look_for_requests()?;
        // What ran out while no engine was there must not be claimed.
        self.look_at_the_clock();
        loop {
            self.claim()?;
            self.flush()?;
            self.forget_ended_runs();
            if let Some(outcome) = self.outcome() {
                self.flush_all()?;
                return Ok(outcome);
            }
            self.observer.tick();
            self.listen(inbox)?;
            self.look_at_the_clock();
            self.interrupt_runs();
        }
    }

    /// Waits for a message and takes all there are: they share one commit.
    fn listen(&mut self, inbox: &Inbox) -> Result<(), EngineError> {
        match inbox.receiver.recv_timeout(self.patience()) {
            Ok(message) => self.hear(message)?,
            // This engine holds a sender itself, so the inbox cannot be disconnected.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Ok(()),
        }
        while let Ok(message) = inbox.receiver.try_recv() {
            self.hear(message)?;
        }
        Ok(())
    }

    /// `None` while there is something to do or to wait for.
    fn outcome(&self) -> Option<Outcome> {
        if !self.attempts.is_empty() {
            return None;
        }
        if let Scope::Run(id) = self.options.scope
            && let Some(end) = self.runs.get(&id).and_then(|run| run.state.end.as_ref())
        {
            return Some(match end {
                RunEnd::Succeeded => Outcome::Succeeded,
                RunEnd::Failed { .. } => Outcome::Failed,
                RunEnd::Canceled => Outcome::Canceled,
            });
        }
        match self.options.scope {
            _ if self.stopping.is_some() => Some(Outcome::Interrupted),
            Scope::Run(id) if self.is_paused(id) => Some(Outcome::Paused),
            Scope::All { exit_when_idle: true } if self.runs.keys().all(|&run| self.is_paused(run)) => {
                Some(Outcome::Idle)
            }
            Scope::Requests => Some(Outcome::Idle),
            Scope::All { .. } | Scope::Run(_) => None,
        }
    }

    fn is_paused(&self, run: RunId) -> bool {
        self.runs.get(&run).is_some_and(|run| run.state.lifecycle == Lifecycle::Paused)
    }

    /// The memory of an engine that serves for months.
    fn forget_ended_runs(&mut self) {
        let wanted = match self.options.scope {
            Scope::Run(id) => Some(id),
            Scope::All { .. } | Scope::Requests => None,
        };
        let attempts = &self.attempts;
        self.runs.retain(|id, run| run.state.end.is_none() || Some(*id) == wanted || attempts.of_run(*id));
    }

    pub(super) fn executor(&self, placement: Placement) -> &dyn Executor {
        match placement {
            Placement::InProcess => &self.executors.in_process,
            Placement::Child => &self.executors.local,
        }
    }

    fn write_down_interruption(&mut self) -> Result<(), EngineError> {
        for row in self.store.runs()?.into_iter().filter(|row| row.stored_status == RunStatus::Running) {
            self.runs.insert(row.id, Run::load(&self.store, row.id)?);
            self.release_all(row.id);
        }
        self.interrupt_runs();
        self.flush()
    }

    /// The attempts are dead already.
    fn release_all(&mut self, run: RunId) {
        let (Some(active), Some(stop)) = (self.runs.get(&run), self.stopping.clone()) else { return };
        let leases: Vec<_> = active.state.leases().map(|(step, lease)| (step.id.clone(), lease.fence)).collect();
        for (step, fence) in leases {
            self.handle(run, Command::Release { step, fence, reason: stop.reason.clone() });
        }
    }

    /// The commit that did not fit has not happened. With the reserve given back there is room to say so;
    /// if even that fails, the next engine finds the same state and recovers it.
    fn interrupt_on_full_disk(&mut self, error: EngineError) -> Result<Outcome, EngineError> {
        disk::release(&self.options.state_dir);
        self.runs.clear();
        self.prepared.clear();
        self.pending = Pending::default();
        self.stopping = Some(Stop::for_full_disk(format!("the disk is full: {error}")));
        match self.write_down_interruption() {
            Ok(()) => Ok(Outcome::Interrupted),
            Err(again) if again.is_no_space() => Err(error),
            Err(other) => Err(other),
        }
    }
}
