//! Runs one seed from beginning to end: one engine after another, until everything has ended.

use std::any::Any;
use std::cell::RefCell;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::Duration;

use jiff::SignedDuration;

use crate::engine::drive_with;
use crate::engine::recovery::disk::{RESERVE_BYTES, RESERVE_FILE};
use crate::error::EngineError;
use crate::inbox::Inbox;
use crate::options::{EngineOptions, Observer, Outcome, Scope, Start};
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::protocol::{MetricRow, Progress};
use stepwell_run::event::Recorded;
use stepwell_store::{EngineLock, Store, check};
use stepwell_workflow::limits::Limits;
use stepwell_workflow::pools::{Pool, Pools};
use stepwell_workflow::rate_limit::RateLimit;

use super::clock::SimulatedClock;
use super::contract::RATE;
use super::executor::FakeExecutor;
use super::happening::Happening;
use super::people::jump;
use super::workflow::{GPUS, MEMORY, index, one_in};
use super::world::{Crash, Shared, Tracing, World, point};

/// Maximum number of engines that may die before the faults of a seed end.
const MOST_ENGINES: u32 = 10;
/// Maximum number of engines after that; a poison step kills 20 of them.
const MOST_HEALED: u32 = 40;
/// Number of trace lines that a failure shows.
const SHOWN: usize = 60;

/// Result of a seed.
pub(super) struct Report {
    pub engines: u32,
    pub crashes: u32,
    pub rounds: u64,
    pub events: i64,
    /// Digest of everything that happened, in order.
    pub digest: blake3::Hash,
}

/// Runs a seed.
///
/// # Errors
/// The broken rule, with the last lines of the trace.
pub(super) fn run(seed: u64, tracing: Tracing) -> Result<Report, String> {
    let folder = tempfile::Builder::new().prefix("stepwell-sim").tempdir_in(root()).expect("a folder can be made");
    copy_template(folder.path());
    let client = Store::open(folder.path()).expect("an empty state opens");
    let mut world = World::new(seed, client, 1 + (seed % 3) as usize, tracing);
    plan(&mut world);
    let world = Rc::new(RefCell::new(world));
    let driven = catch_unwind(AssertUnwindSafe(|| drive_to_the_end(folder.path(), &world)));
    match driven {
        Ok((engines, crashes)) => {
            let world = world.borrow();
            let mut hasher = blake3::Hasher::new();
            // Errors name the folder, which differs each time.
            let folder = folder.path().display().to_string();
            world.trace.iter().for_each(|line| {
                hasher.update(line.replace(&folder, "state").as_bytes()).update(b"\n");
            });
            let (rounds, events) = (world.rounds, world.contract.seq);
            Ok(Report { engines, crashes, rounds, events, digest: hasher.finalize() })
        }
        Err(panic) => {
            let trace = match world.try_borrow() {
                Ok(world) => world.trace[world.trace.len().saturating_sub(SHOWN)..].join("\n"),
                Err(_) => "the trace is lost".to_owned(),
            };
            Err(format!("{}\nwhat happened last:\n{trace}", message(panic.as_ref())))
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

/// Returns a file system in memory, where there is one: nothing must survive the simulator.
fn root() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

/// Copies a migrated database: migrating an empty one takes longer than many seeds.
fn copy_template(folder: &Path) {
    static TEMPLATE: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    let files = TEMPLATE.get_or_init(|| {
        let template = tempfile::tempdir_in(root()).expect("a folder can be made");
        drop(Store::open(template.path()).expect("an empty state opens"));
        let entries = fs::read_dir(template.path()).expect("a folder can be read").flatten();
        let files = entries.filter(|entry| entry.path().is_file());
        files.map(|f| (f.file_name().to_string_lossy().into_owned(), fs::read(f.path()).expect("a file"))).collect()
    });
    for (name, bytes) in files {
        fs::write(folder.join(name), bytes).expect("a file can be written");
    }
    // The reserve has holes instead of bytes: nothing runs out of space.
    let reserve = fs::File::create(folder.join(RESERVE_FILE)).expect("a file can be made");
    reserve.set_len(RESERVE_BYTES as u64).expect("a file can be longer");
}

/// Plans the events that happen by themselves.
fn plan(world: &mut World) {
    let end = 20_000 + world.rng.below(120_000);
    for _ in 0..=world.rng.below(2) {
        world.submit_random();
    }
    if one_in(&mut world.rng, 10) {
        world.add_schedule();
    }
    world.poison = one_in(&mut world.rng, 60);
    for _ in 0..world.rng.below(16) {
        world.soon(end, Happening::Wish);
    }
    for _ in 0..world.rng.below(4) {
        let span = Duration::from_secs(10) + world.millis(60_000);
        let happening = match world.rng.below(8) {
            // A schedule catches up with every minute of a jump.
            0 | 1 if world.has_schedule => {
                Happening::SetClock(SignedDuration::from_mins(world.rng.below(5) as i64 - 2))
            }
            0 | 1 => Happening::SetClock(jump(&mut world.rng)),
            2 => Happening::StopEngine(span),
            3 => Happening::Sleep(span),
            4 => Happening::FullDisk,
            5 => Happening::Signal(15),
            _ => Happening::Crash,
        };
        world.soon(end, happening);
    }
    world.agenda.add(Duration::from_millis(end), Happening::Heal);
}

fn drive_to_the_end(state_dir: &Path, world: &Shared) -> (u32, u32) {
    let mut crashes = 0;
    loop {
        let options = next_engine(state_dir, world);
        let inbox = Inbox::detached();
        {
            let mut world = world.borrow_mut();
            world.inbox = Some(inbox.sender.clone());
            world.drives_all = matches!(options.scope, Scope::All { .. });
            let number = world.engine;
            world.note(format_args!("engine {number} starts: {:?}, {:?}", options.scope, options.start));
        }
        let scope = options.scope;
        let ended = catch_unwind(AssertUnwindSafe(|| {
            let lock = EngineLock::acquire(state_dir).expect("no other engine runs");
            let parts = (FakeExecutor::new(world), SimulatedClock::start(world));
            drive_with(&lock, options, &mut Watcher(world.clone()), &inbox, parts)
        }));
        match ended {
            Ok(outcome) => {
                world.borrow_mut().sync();
                check_outcome(&mut world.borrow_mut(), outcome, scope);
            }
            Err(panic) if panic.is::<Crash>() => {
                crashes += 1;
                world.borrow_mut().sync();
                world.borrow().check_nothing_is_lost();
                assert_sound(state_dir);
            }
            Err(panic) => std::panic::resume_unwind(panic),
        }
        let mut world = world.borrow_mut();
        world.engine_ended();
        if world.is_over {
            assert_sound(state_dir);
            world.check_requests();
            let open = world.open_runs();
            assert!(open.is_empty(), "runs are left open:{open}");
            let schedules = world.client.reader().schedules().expect("schedules can be read").0;
            assert!(
                schedules.iter().all(|schedule| schedule.done_until >= schedule.created_at),
                "a schedule goes back"
            );
            return (world.engine, crashes);
        }
        // No engine runs for a while.
        let pause = match world.rng.below(4) {
            0 => world.millis(60_000),
            _ => world.millis(500),
        };
        let until = world.time.elapsed + pause;
        world.time.advance_to(until);
    }
}

fn next_engine(state_dir: &Path, world: &Shared) -> EngineOptions {
    let mut world = world.borrow_mut();
    world.engine += 1;
    world.stopping = None;
    if world.engine > MOST_ENGINES {
        world.heal();
    }
    assert!(world.engine < MOST_ENGINES + MOST_HEALED, "engines end again and again:{}", world.open_runs());
    let known: Vec<RunId> = world.contract.runs.keys().copied().collect();
    let scope = match if world.faults { world.rng.below(20) } else { 19 } {
        0 | 1 if !known.is_empty() => Scope::Run(known[index(&mut world.rng, known.len())]),
        2 => Scope::Requests,
        3 | 4 => Scope::All { exit_when_idle: true },
        _ => Scope::All { exit_when_idle: false },
    };
    let start = match scope {
        Scope::Run(_) => match world.rng.below(4) {
            0 => Start::Retry { step: None },
            1 => Start::Resume,
            _ => Start::GoOn,
        },
        Scope::All { .. } | Scope::Requests => Start::GoOn,
    };
    if let (Scope::Run(run), Start::Resume | Start::Retry { .. }) = (scope, &start) {
        world.resumable.insert(run);
    }
    if world.faults {
        world.crash_in = match world.rng.below(4) {
            0 => Some(world.rng.below(60) as u32),
            1 => Some(world.rng.below(3000) as u32),
            _ => None,
        };
    }
    let devices = (0..GPUS).map(|i| format!("gpu:{i}")).collect();
    let pools = [("gpu".to_owned(), Pool::Devices(devices)), ("memory".to_owned(), Pool::Amount(MEMORY))];
    let (count, per) = RATE;
    let rate_limits = [("api".to_owned(), RateLimit { count, per })].into();
    EngineOptions {
        state_dir: state_dir.to_owned(),
        scope,
        slots: world.slots,
        limits: Limits { pools: Pools(pools.into()), rate_limits, ..Limits::default() },
        crash_loop_limit: 0,
        log_limit: 0,
        start,
    }
}

/// Checks the outcome of an engine that has not died.
fn check_outcome(world: &mut World, outcome: Result<Outcome, EngineError>, scope: Scope) {
    world.note(format_args!("the engine ends: {outcome:?}"));
    match outcome {
        Ok(outcome) => {
            let alive = world.processes.values().filter(|process| process.is_alive() && process.engine == world.engine);
            let alive: Vec<String> = alive.map(|process| process.id.to_string()).collect();
            assert!(alive.is_empty(), "an engine ends with {outcome:?} and leaves processes: {alive:?}");
            let fits = match outcome {
                Outcome::Idle => matches!(scope, Scope::All { exit_when_idle: true } | Scope::Requests),
                Outcome::Interrupted => world.stopping.is_some() || world.trouble_until > Duration::ZERO,
                Outcome::Succeeded | Outcome::Failed | Outcome::Canceled | Outcome::Paused => {
                    matches!(scope, Scope::Run(_))
                }
            };
            assert!(fits, "an engine for {scope:?} ends with {outcome:?}");
        }
        Err(EngineError::StillRunning { .. } | EngineError::RunStillRunning { .. })
            if std::mem::take(&mut world.survivors) => {}
        Err(EngineError::Refused { .. }) if matches!(scope, Scope::Run(_)) => {}
        Err(error) if error.is_no_space() && scope == Scope::Requests => {}
        Err(error) => panic!("the engine gives up: {error:?}"),
    }
}

fn assert_sound(state_dir: &Path) {
    let problems = check(state_dir).expect("the database can be checked");
    assert!(problems.is_empty(), "the tables are not what the log says: {problems:?}");
}

/// Observes events right after their commit, where an engine may die.
struct Watcher(Shared);

impl Observer for Watcher {
    fn event(&mut self, recorded: &Recorded) {
        self.0.borrow_mut().check_is_committed(recorded);
        point(&self.0);
    }

    fn progress(&mut self, _run: RunId, _step: &StepId, _progress: &Progress) {}

    fn metric(&mut self, _run: RunId, _step: &StepId, _row: &MetricRow) {}
}
