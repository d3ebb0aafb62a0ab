//! The engine: one thread that owns the parts below and the only writing connection to the database.
//!
//! `round` is the loop. `messages`, `requests` and `timers` feed it, `scheduling` gives work out, `commit` makes decisions
//! durable, `effects` performs them. `recovery` is what happens at a start and on a full disk.

mod cleanup;
mod commit;
mod effects;
mod environment;
mod messages;
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

use jiff::Timestamp;

use crate::clock::{Clock, SystemClock};
use crate::engine::cleanup::discards::Discards;
use crate::engine::cleanup::janitor::Janitor;
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
use crate::executors::{AttemptId, Executor, Local};
use crate::inbox::{Inbox, Message};
use crate::log::{Logged, SHOWN};
use crate::options::{EngineOptions, Observer, Outcome, Scope};
use stepwell_artifact::ArtifactStore;
use stepwell_base::error_chain::error_chain;
use stepwell_base::ids::RunId;
use stepwell_steps::own_binary;
use stepwell_store::{EngineLock, Store};

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
pub(crate) fn drive_with<X: Executor, C: Clock>(
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

/// Coordinates the parts: it lets them decide, commits what they decided, and performs the effects.
pub(crate) struct Engine<'a, X, C> {
    options: EngineOptions,
    observer: &'a mut dyn Observer,
    store: Store,
    artifacts: ArtifactStore,
    executor: X,
    runs: Runs,
    /// Runs whose rows cannot be read, and why.
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
    /// For threads that have something to tell the engine.
    sender: SyncSender<Message>,
    pace: ClaimPace,
    stopping: Option<Stop>,
    clock: C,
    /// When leases were last checked.
    looked_at: Timestamp,
    janitor: Janitor,
    /// Before this round's look at what is due: what comes due during the round is left for the next.
    round_at: Timestamp,
}

impl<'a, X: Executor, C: Clock> Engine<'a, X, C> {
    /// A new epoch of the state directory, with nothing in memory.
    ///
    /// # Errors
    /// When the state cannot be read or written.
    pub(crate) fn open(
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
            prepared: BTreeMap::new(),
            pending: Pending::default(),
            rate_windows: RateWindows::default(),
            accounts: Accounts::default(),
            discards: Discards::default(),
            schedules: Schedules::default(),
            sender: inbox.sender.clone(),
            pace: ClaimPace::default(),
            stopping: None,
            clock,
            looked_at: started_at,
            janitor: Janitor::default(),
            round_at: started_at,
        })
    }
}
