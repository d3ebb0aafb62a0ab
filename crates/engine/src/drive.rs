//! The loop: claim, commit, act, listen.

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::SyncSender;

use jiff::Timestamp;

use crate::executors::{AttemptId, Executor, Local};
use stepwell_artifact::ArtifactStore;
use stepwell_base::error_chain::error_chain;
use stepwell_base::ids::RunId;
use stepwell_run::state::{Lifecycle, RunEnd};
use stepwell_steps::own_binary;
use stepwell_store::{EngineLock, Store};

use super::accounts::Accounts;
use super::attempts::Attempts;
use super::children::Family;
use super::claim::{FIRST_BATCH, Prepared};
use super::clock::{Clock, SystemClock};
use super::commit::Pending;
use super::crash_loop;
use super::discard::Discards;
use super::disk;
use super::environment;
use super::error::EngineError;
use super::inbox::{CAPACITY, Inbox, Message};
use super::janitor::Janitor;
use super::log::{Logged, SHOWN};
use super::options::{EngineOptions, Observer, Outcome, Scope};
use super::queue::Windows;
use super::runs::Runs;
use super::schedules::Schedules;
use super::space::Backoff;
use super::stop::Stop;

/// Drives runs until they have ended, or until SIGINT, SIGTERM or SIGHUP: the first lets attempts write
/// their checkpoints, the second kills them at once.
///
/// # Errors
/// When another engine holds the state directory, or the state cannot be read or written. A failed step
/// is an [`Outcome`], and a full disk is waited out.
pub fn drive(options: EngineOptions, observer: &mut dyn Observer) -> Result<Outcome, EngineError> {
    let lock = EngineLock::acquire(&options.state_dir)?;
    drive_locked(&lock, options, observer)
}

/// [`drive`] for the holder of the lock.
///
/// # Errors
/// As [`drive`].
pub fn drive_locked(
    lock: &EngineLock,
    options: EngineOptions,
    observer: &mut dyn Observer,
) -> Result<Outcome, EngineError> {
    let inbox = Inbox::open(&options.state_dir)?;
    let program = own_binary().map_err(EngineError::system("find this program's own path"))?;
    let executor = Local::new(program, inbox.sink(), options.log_limit);
    let (scope, mut observer) = (options.scope, Logged { observer });
    tracing::info!(pid = std::process::id(), ?scope, version = env!("CARGO_PKG_VERSION"), "engine started");
    let outcome = drive_with(lock, options, &mut observer, &inbox, (executor, SystemClock::start()));
    match &outcome {
        Ok(outcome) => tracing::info!(?outcome, "engine ended"),
        Err(error) => tracing::warn!(target: SHOWN, "engine ended: {}", error_chain(error)),
    }
    outcome
}

/// [`drive_locked`] in any world: attempts run where `executor` puts them, at the time that `clock` tells.
///
/// # Errors
/// As [`drive`].
pub(super) fn drive_with<X: Executor, C: Clock>(
    lock: &EngineLock,
    options: EngineOptions,
    observer: &mut dyn Observer,
    inbox: &Inbox,
    world: (X, C),
) -> Result<Outcome, EngineError> {
    let noted = options.scope != Scope::Requests;
    let state_dir = options.state_dir.clone();
    let outcome = Engine::open(lock, options, observer, inbox, world)?.drive(inbox);
    if noted {
        crash_loop::note_end(&state_dir);
    }
    outcome
}

pub(super) struct Engine<'a, X, C> {
    pub options: EngineOptions,
    pub observer: &'a mut dyn Observer,
    pub store: Store,
    pub artifacts: ArtifactStore,
    pub executor: X,
    pub runs: Runs,
    /// Runs whose rows cannot be read, and why.
    pub set_aside: BTreeMap<RunId, String>,
    pub family: Family,
    pub attempts: Attempts,
    /// Inputs of attempts that are leased but not started.
    pub prepared: HashMap<AttemptId, Prepared>,
    pub pending: Pending,
    pub windows: Windows,
    pub accounts: Accounts,
    pub discards: Discards,
    pub schedules: Schedules,
    /// For threads that have something to tell the engine.
    pub sender: SyncSender<Message>,
    /// Most steps decided about in a round of claims.
    pub batch: usize,
    /// The last round of claims left ready steps for the next one.
    pub more_to_claim: bool,
    pub stopping: Option<Stop>,
    pub clock: C,
    /// When leases were last checked.
    pub looked_at: Timestamp,
    pub janitor: Janitor,
    /// Before this round's look at what is due: what comes due during the round is left for the next.
    pub round_at: Timestamp,
}

impl<'a, X: Executor, C: Clock> Engine<'a, X, C> {
    /// A new epoch of the state directory, with nothing in memory.
    ///
    /// # Errors
    /// When the state cannot be read or written.
    pub(super) fn open(
        lock: &EngineLock,
        options: EngineOptions,
        observer: &'a mut dyn Observer,
        inbox: &Inbox,
        (executor, clock): (X, C),
    ) -> Result<Engine<'a, X, C>, EngineError> {
        let mut store = Store::open(&options.state_dir)?;
        store.begin_epoch(lock)?;
        store.record_environment(&environment::describe().to_string())?;
        // Requests are answered in safe mode as well.
        if options.scope != Scope::Requests {
            crash_loop::note_start(store.reader(), &options.state_dir, options.crash_loop_limit, clock.wall())?;
        }
        let artifacts = ArtifactStore::open(&options.state_dir)?;
        artifacts.clean_temp()?;
        let started_at = clock.now();
        Ok(Engine {
            options,
            observer,
            store,
            artifacts,
            executor,
            runs: Runs::default(),
            set_aside: BTreeMap::new(),
            family: Family::default(),
            attempts: Attempts::default(),
            prepared: HashMap::new(),
            pending: Pending::default(),
            windows: Windows::default(),
            accounts: Accounts::default(),
            discards: Discards::default(),
            schedules: Schedules::default(),
            sender: inbox.sender.clone(),
            batch: FIRST_BATCH,
            more_to_claim: false,
            stopping: None,
            clock,
            looked_at: started_at,
            janitor: Janitor::default(),
            round_at: started_at,
        })
    }
}

impl<X: Executor, C: Clock> Engine<'_, X, C> {
    fn drive(&mut self, inbox: &Inbox) -> Result<Outcome, EngineError> {
        let mut backoff = Backoff::new(self.clock.instant());
        loop {
            match self.run(inbox) {
                Ok(Outcome::Interrupted) if self.lacks_space() => {}
                Ok(outcome) => return Ok(outcome),
                Err(error) => {
                    let alive = self.kill_everything();
                    self.interrupt_on_full_disk(error, &alive)?;
                }
            }
            if let Some(outcome) = self.wait_for_space(inbox, &mut backoff)? {
                return Ok(outcome);
            }
        }
    }

    fn run(&mut self, inbox: &Inbox) -> Result<Outcome, EngineError> {
        disk::reserve(&self.options.state_dir)?;
        self.recover()?;
        self.restore_windows()?;
        self.look_for_requests()?;
        self.load_schedules()?;
        // What ran out while no engine was there must not be claimed.
        self.look_at_the_clock();
        loop {
            self.round_at = self.clock.now();
            self.fire_schedules()?;
            self.judge_runs()?;
            self.give_out()?;
            self.flush()?;
            self.forget_ended_runs();
            if let Some(outcome) = self.outcome() {
                self.flush_all()?;
                self.discard_rest()?;
                return Ok(outcome);
            }
            self.listen(inbox)?;
            self.look_at_the_clock();
            self.interrupt_runs();
        }
    }

    /// Waits for a message and takes all that have arrived, so that they share one commit. The number is bounded, so
    /// busy workers cannot delay the commit for ever.
    pub(super) fn listen(&mut self, inbox: &Inbox) -> Result<(), EngineError> {
        // This engine holds a sender itself, so the inbox cannot be disconnected.
        let patience = self.patience();
        let Some(message) = self.clock.receive(&inbox.receiver, patience) else { return Ok(()) };
        self.hear(message)?;
        inbox.receiver.try_iter().take(CAPACITY).try_for_each(|message| self.hear(message))
    }

    /// `None` while there is something to do or to wait for.
    fn outcome(&mut self) -> Option<Outcome> {
        if !self.attempts.is_empty() || !self.family.is_settled() {
            return None;
        }
        if let Some(end) = self.end_of_the_run() {
            return Some(end);
        }
        match self.options.scope {
            _ if self.stopping.is_some() => Some(Outcome::Interrupted),
            Scope::Run(id) if self.is_paused(id) => Some(Outcome::Paused),
            Scope::All { exit_when_idle: true } if self.runs.is_idle(self.round_at) => Some(Outcome::Idle),
            Scope::Requests => Some(Outcome::Idle),
            Scope::All { .. } | Scope::Run(_) => None,
        }
    }

    /// How the run that this engine is for has ended.
    pub(super) fn end_of_the_run(&self) -> Option<Outcome> {
        let Scope::Run(id) = self.options.scope else { return None };
        Some(match self.runs.get(&id)?.state.end.as_ref()? {
            RunEnd::Succeeded => Outcome::Succeeded,
            RunEnd::Failed { .. } => Outcome::Failed,
            RunEnd::Canceled => Outcome::Canceled,
        })
    }

    fn is_paused(&self, run: RunId) -> bool {
        self.runs.get(&run).is_some_and(|run| run.state.lifecycle == Lifecycle::Paused)
    }

    /// The memory of an engine that serves for months.
    pub(super) fn forget_ended_runs(&mut self) {
        let wanted = match self.options.scope {
            Scope::Run(id) => Some(id),
            Scope::All { .. } | Scope::Requests => None,
        };
        for id in self.runs.ended(self.round_at) {
            if Some(id) == wanted || self.attempts.of_run(id) {
                continue;
            }
            let ancestors = self.runs.remove(&id).map(|run| run.ancestors).unwrap_or_default();
            self.accounts.close(id);
            let gone = ancestors.into_iter().filter(|ancestor| !self.runs.contains_key(ancestor));
            gone.for_each(|ancestor| self.accounts.close(ancestor));
        }
    }
}
