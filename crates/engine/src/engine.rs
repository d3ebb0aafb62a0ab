//! The engine: one thread that owns the components below and the only writing connection to the database.
//!
//! `round` is the loop. `messages`, `requests` and `timers` feed it, `scheduling` assigns work, `commit` makes
//! decisions durable, and `effects` performs them. `recovery` handles startup and a full disk.

mod clean_ups;
mod cleanup;
mod commit;
mod effects;
mod environment;
mod messages;
mod notices;
pub(crate) mod recovery;
mod requests;
mod round;
pub(crate) mod scheduling;
mod shutdown;
pub(crate) mod state;
mod stop;
#[cfg(test)]
mod tests;
mod timers;

use std::collections::BTreeMap;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::{Clock, SystemClock};
use crate::engine::clean_ups::CleanUps;
use crate::engine::cleanup::discards::Discards;
use crate::engine::cleanup::janitor::Janitor;
use crate::engine::notices::Notices;
use crate::engine::recovery::crash_loop;
use crate::engine::scheduling::accounts::Accounts;
use crate::engine::scheduling::family::Family;
use crate::engine::scheduling::pace::ClaimPace;
use crate::engine::scheduling::rate_windows::RateWindows;
use crate::engine::scheduling::schedules::Schedules;
use crate::engine::state::attempts::{Attempts, Prepared};
use crate::engine::state::pending::Pending;
use crate::engine::state::runs::Runs;
use crate::engine::stop::Stop;
use crate::error::EngineError;
use crate::executors::{AttemptId, Executor, Local, Placed};
use crate::inbox::{Inbox, Message};
use crate::log::{Logged, SHOWN};
use crate::options::{EngineOptions, Observer, Outcome, Scope};
use crate::outbound::{Courier, Heralded};
use stepwell_artifact::ArtifactStore;
use stepwell_base::error_chain::error_chain;
use stepwell_base::ids::RunId;
use stepwell_steps::own_binary;
use stepwell_store::{EngineLock, Store};

/// Longest wait for receivers of events after the last run has ended, and after a person has stopped the engine.
const LAST_WORDS: Duration = Duration::from_secs(5);
const HURRY: Duration = Duration::from_secs(1);

/// Drives runs until they have ended or SIGINT, SIGTERM, SIGUSR1 or SIGHUP arrives. The first signal lets attempts write their
/// checkpoints; the second kills them at once.
///
/// # Errors
/// `Locked` when another engine holds the state directory, `CrashLoop` in safe mode. A failed step is an [`Outcome`],
/// and a full disk makes the engine wait.
pub fn drive(options: EngineOptions, observer: &mut dyn Observer) -> Result<Outcome, EngineError> {
    let lock = EngineLock::acquire(&options.state_dir)?;
    drive_locked(&lock, options, observer)
}

/// Does the work of [`drive`] for a caller that already holds the lock.
///
/// # Errors
/// The errors of [`drive`] except `Locked`.
pub fn drive_locked(
    lock: &EngineLock,
    options: EngineOptions,
    observer: &mut dyn Observer,
) -> Result<Outcome, EngineError> {
    let inbox = Inbox::open(&options.state_dir)?;
    let program = own_binary().map_err(EngineError::system("find this program's own path"))?;
    let local = Local::new(program, inbox.sink(), options.log_limit);
    let executors = &options.limits.executors;
    let executor = Placed::new(local, executors, &options.state_dir, &inbox.sink(), options.log_limit);
    let scope = options.scope;
    let courier = Courier::start(&options.limits.webhooks, &options.state_dir, &inbox.sender)?;
    let mut observer = Logged { observer };
    let mut observer = Heralded { observer: &mut observer, courier: &courier };
    tracing::info!(pid = std::process::id(), ?scope, version = env!("CARGO_PKG_VERSION"), "engine started");
    let outcome = drive_with(lock, options, &mut observer, &inbox, (executor, SystemClock::start()));
    match &outcome {
        Ok(outcome) => tracing::info!(?outcome, "engine ended"),
        Err(error) => tracing::warn!(target: SHOWN, "engine ended: {}", error_chain(error)),
    }
    courier.finish(match &outcome {
        Ok(Outcome::Interrupted) | Err(_) => HURRY,
        Ok(_) => LAST_WORDS,
    });
    outcome
}

/// Does the work of [`drive_locked`] with any executor and clock; the simulator supplies its own.
///
/// # Errors
/// The errors of [`drive_locked`].
pub(crate) fn drive_with<X: Executor, C: Clock>(
    lock: &EngineLock,
    options: EngineOptions,
    observer: &mut dyn Observer,
    inbox: &Inbox,
    world: (X, C),
) -> Result<Outcome, EngineError> {
    let noted = options.scope != Scope::Requests;
    let state_dir = options.state_dir.clone();
    match options.scope {
        Scope::Run(run) => lock.record_work(Some(run), options.slots),
        Scope::All { .. } => lock.record_work(None, options.slots),
        Scope::Requests => {}
    }
    let outcome = Engine::open(lock, options, observer, inbox, world)?.drive(inbox);
    if noted {
        crash_loop::note_end(&state_dir);
    }
    outcome
}

/// Coordinates the components: lets them decide, commits their decisions, and performs the effects.
pub(crate) struct Engine<'a, X, C> {
    options: EngineOptions,
    lock: &'a EngineLock,
    observer: &'a mut dyn Observer,
    store: Store,
    artifacts: ArtifactStore,
    executor: X,
    runs: Runs,
    /// Runs with unreadable rows, and the reason.
    set_aside: BTreeMap<RunId, String>,
    family: Family,
    attempts: Attempts,
    /// Inputs of attempts that are leased but not started.
    prepared: BTreeMap<AttemptId, Prepared>,
    pending: Pending,
    rate_windows: RateWindows,
    accounts: Accounts,
    discards: Discards,
    schedules: Schedules,
    notices: Notices,
    /// Cloned for threads that send messages to the engine.
    sender: SyncSender<Message>,
    pace: ClaimPace,
    stopping: Option<Stop>,
    clock: C,
    /// Time of the last lease check.
    looked_at: Timestamp,
    /// Time of the last sign of life, see [`EngineLock::touch`].
    signed_at: Timestamp,
    janitor: Janitor,
    clean_ups: CleanUps,
    /// Start of this round. Deadlines that pass during the round wait for the next one.
    round_at: Timestamp,
}

impl<'a, X: Executor, C: Clock> Engine<'a, X, C> {
    /// Opens a new epoch of the state directory with nothing in memory.
    ///
    /// # Errors
    /// `CrashLoop` in safe mode.
    pub(crate) fn open(
        lock: &'a EngineLock,
        options: EngineOptions,
        observer: &'a mut dyn Observer,
        inbox: &Inbox,
        (executor, clock): (X, C),
    ) -> Result<Engine<'a, X, C>, EngineError> {
        let mut store = Store::open(&options.state_dir)?;
        store.begin_epoch(lock)?;
        store.record_environment(&environment::describe().to_string())?;
        // Safe mode still answers requests.
        if options.scope != Scope::Requests {
            crash_loop::note_start(store.reader(), &options.state_dir, options.crash_loop_limit, clock.wall())?;
        }
        let artifacts = ArtifactStore::open(&options.state_dir)?;
        let started_at = clock.now();
        Ok(Engine {
            options,
            lock,
            observer,
            store,
            artifacts,
            executor,
            runs: Runs::default(),
            set_aside: BTreeMap::new(),
            family: Family::default(),
            attempts: Attempts::default(),
            prepared: BTreeMap::new(),
            pending: Pending::default(),
            rate_windows: RateWindows::default(),
            accounts: Accounts::default(),
            discards: Discards::default(),
            schedules: Schedules::default(),
            notices: Notices::default(),
            sender: inbox.sender.clone(),
            pace: ClaimPace::default(),
            stopping: None,
            clock,
            looked_at: started_at,
            signed_at: started_at,
            janitor: Janitor::default(),
            clean_ups: CleanUps::default(),
            round_at: started_at,
        })
    }
}
