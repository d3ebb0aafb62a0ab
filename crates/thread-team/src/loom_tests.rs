//! Every schedule of small teams, and every value that the memory model lets them read. Each planted fault must be
//! found, or a model is too small to say anything.

use loom::cell::UnsafeCell;
use loom::model::Builder;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use super::{Protocol, Sound, Team};

/// Takes part in `rounds` pieces of work.
fn spawn_worker<P: Protocol>(team: &Arc<Team<P>>, rounds: usize) -> thread::JoinHandle<()> {
    let team = Arc::clone(team);
    thread::spawn(move || {
        let mut last = 0;
        for _ in 0..rounds {
            last = team.take_part(last);
        }
    })
}

/// A value that two threads use in turns. Loom reports a use that is not ordered after the one before.
struct Plain(UnsafeCell<u32>);

// SAFETY: loom checks every access.
#[expect(unsafe_code, reason = "a cell whose access loom checks")]
unsafe impl Sync for Plain {}

impl Plain {
    fn new(value: u32) -> Self {
        Plain(UnsafeCell::new(value))
    }

    fn set(&self, value: u32) {
        // SAFETY: loom ends the test at an access that races.
        #[expect(unsafe_code, reason = "a cell whose access loom checks")]
        self.0.with_mut(|cell| unsafe { *cell = value });
    }

    fn get(&self) -> u32 {
        // SAFETY: as in `set`.
        #[expect(unsafe_code, reason = "a cell whose access loom checks")]
        self.0.with(|cell| unsafe { *cell })
    }
}

/// The caller shares work that ends only when the worker has joined it, `rounds` times. The worker reads what the
/// caller wrote before, and the caller what the worker wrote last. A worker that sleeps through work is a deadlock.
fn fork_and_join<P: Protocol>(rounds: usize) {
    let team = Arc::new(Team::<P>::new(2));
    let worker = spawn_worker(&team, rounds);
    let caller = thread::current();
    for _ in 0..rounds {
        let (input, output, joined) = (Plain::new(0), Plain::new(0), AtomicBool::new(false));
        input.set(1);
        team.share(&|| {
            if thread::current().id() == caller.id() {
                while !joined.load(Ordering::Relaxed) {
                    thread::park();
                }
            } else {
                let value = input.get();
                joined.store(true, Ordering::Relaxed);
                caller.unpark();
                output.set(value + 1);
            }
        });
        input.set(output.get());
        assert_eq!(input.get(), 2);
    }
    worker.join().unwrap();
}

/// Work that nobody needs to join comes first: the worker is late, on time, or does not come.
fn late_join<P: Protocol>() {
    let team = Arc::new(Team::<P>::new(2));
    let done = Arc::new(AtomicBool::new(false));
    let caller = thread::current();
    let worker = {
        let (team, done) = (Arc::clone(&team), Arc::clone(&done));
        thread::spawn(move || {
            let mut last = 0;
            while !done.load(Ordering::Relaxed) {
                last = team.take_part(last);
            }
        })
    };
    let joined = Plain::new(0);
    team.share(&|| {
        if thread::current().id() != caller.id() {
            joined.set(joined.get() + 1);
        }
    });
    assert!(joined.get() <= 1, "a thread joins the same work once");
    team.share(&|| {
        if thread::current().id() == caller.id() {
            while !done.load(Ordering::Relaxed) {
                thread::park();
            }
        } else {
            done.store(true, Ordering::Relaxed);
            caller.unpark();
        }
    });
    worker.join().unwrap();
}

/// Two callers: the second one works alone, or takes the team over.
fn two_callers<P: Protocol>() {
    let team = Arc::new(Team::<P>::new(2));
    let share = |team: &Team<P>| {
        let done = Plain::new(0);
        team.share(&|| done.set(done.get() + 1));
        assert_eq!(done.get(), 1);
    };
    let other = {
        let team = Arc::clone(&team);
        thread::spawn(move || share(&team))
    };
    share(&team);
    other.join().unwrap();
}

/// A second caller follows on work that the worker has joined.
fn caller_after_caller<P: Protocol>() {
    let team = Arc::new(Team::<P>::new(2));
    let worker = spawn_worker(&team, 1);
    let is_over = Arc::new(AtomicBool::new(false));
    let other = {
        let (team, is_over) = (Arc::clone(&team), Arc::clone(&is_over));
        thread::spawn(move || {
            // A look, not a wait, which would say when the first caller has finished.
            if is_over.load(Ordering::Relaxed) {
                team.share(&|| ());
            }
        })
    };
    let (caller, joined) = (thread::current(), AtomicBool::new(false));
    team.share(&|| {
        if thread::current().id() == caller.id() {
            while !joined.load(Ordering::Relaxed) {
                thread::park();
            }
        } else {
            joined.store(true, Ordering::Relaxed);
            caller.unpark();
        }
    });
    is_over.store(true, Ordering::Relaxed);
    worker.join().unwrap();
    other.join().unwrap();
}

/// Runs every schedule of a model. `preemptions` bounds how often one schedule interrupts threads, in models that have
/// too many.
fn check(preemptions: Option<usize>, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = preemptions;
    builder.check(model);
}

#[test]
fn work_is_published_joined_and_finished() {
    check(None, || fork_and_join::<Sound>(1));
}

#[test]
fn a_second_piece_of_work_finds_the_worker() {
    check(Some(3), || fork_and_join::<Sound>(2));
}

#[test]
fn a_late_worker_joins_each_work_at_most_once() {
    check(Some(3), late_join::<Sound>);
}

#[test]
fn a_second_caller_waits_for_the_threads_of_the_first() {
    check(Some(3), caller_after_caller::<Sound>);
}

#[test]
fn callers_take_turns() {
    check(None, two_callers::<Sound>);
}

/// Makes a protocol with one fault.
macro_rules! faulty {
    ($name:ident, $constant:ident: $ty:ty = $value:expr) => {
        struct $name;
        impl Protocol for $name {
            const $constant: $ty = $value;
        }
    };
}

faulty!(WeakOpen, OPEN: Ordering = Ordering::Relaxed);
faulty!(WeakJoin, JOIN: Ordering = Ordering::Relaxed);
faulty!(WeakLeave, LEAVE: Ordering = Ordering::Relaxed);
faulty!(WeakClose, CLOSE: Ordering = Ordering::Relaxed);
faulty!(WeakAcquireTeam, ACQUIRE_TEAM: Ordering = Ordering::Relaxed);
faulty!(WeakReleaseTeam, RELEASE_TEAM: Ordering = Ordering::Relaxed);
faulty!(WeakSleepFence, SLEEP_FENCE: Ordering = Ordering::AcqRel);
faulty!(WakesWithoutLock, LOCKS_TO_WAKE: bool = false);

/// The planted faults: name, what loom reports, and the model that shows it.
const FAULTS: [(&str, &str, fn()); 8] = [
    ("open", "Causality violation", || check(None, || fork_and_join::<WeakOpen>(1))),
    ("join", "Causality violation", || check(None, || fork_and_join::<WeakJoin>(1))),
    ("leave", "Causality violation", || check(None, || fork_and_join::<WeakLeave>(1))),
    ("close", "Causality violation", || check(None, || fork_and_join::<WeakClose>(1))),
    ("acquire team", "Causality violation", || check(None, two_callers::<WeakAcquireTeam>)),
    ("release team", "Causality violation", || check(Some(3), caller_after_caller::<WeakReleaseTeam>)),
    ("sleep fence", "deadlock", || check(None, || fork_and_join::<WeakSleepFence>(1))),
    ("wake without lock", "deadlock", || check(None, || fork_and_join::<WakesWithoutLock>(1))),
];

const FAULT: &str = "STEPWELL_PLANTED_FAULT";

/// Every fault in a process of its own, because loom may abort when it finds a deadlock.
#[test]
fn every_planted_fault_is_found() {
    let program = std::env::current_exe().unwrap();
    for (name, expected, _) in FAULTS {
        let mut command = std::process::Command::new(&program);
        command
            .args(["--exact", "loom_tests::the_named_fault", "--nocapture"])
            .env(FAULT, name)
            .env("RUST_BACKTRACE", "0");
        let output = command.output().unwrap();
        let report = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && report.contains(expected), "{name}: {report}");
    }
}

/// Does nothing unless [`every_planted_fault_is_found`] runs it.
#[test]
fn the_named_fault() {
    let named = std::env::var(FAULT).ok();
    for (_, _, model) in FAULTS.iter().filter(|(name, _, _)| Some(*name) == named.as_deref()) {
        model();
    }
}
