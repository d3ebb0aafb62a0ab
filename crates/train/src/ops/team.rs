//! A team of threads that share one piece of work at a time.
//!
//! A training step shares thousands of pieces of work, some shorter than 0.1 ms. Waking a thread through the operating
//! system takes about as long, so the team's threads stay awake between two pieces.

use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use std::{hint, thread};

/// Time that a waiting thread spins without yielding its processor.
const SPIN_TIME: Duration = Duration::from_micros(50);
/// Time that it spins and yields before it sleeps.
const AWAKE_TIME: Duration = Duration::from_millis(2);

/// Number of threads that share work: the size of rayon's pool, so one variable sets both.
pub fn threads() -> usize {
    current().threads
}

/// Runs `work` for each of `items` on all threads; a thread that finishes an item takes the next.
///
/// Nested calls, and calls while another caller shares work, run on the calling thread alone.
pub fn each<I>(items: I, work: impl Fn(I::Item) + Sync)
where
    I: IntoIterator<IntoIter: Send>,
{
    let items = items.into_iter();
    if items.size_hint().1.is_some_and(|most| most <= 1) {
        return items.for_each(work);
    }
    let items = Mutex::new(items);
    // A closure, because a lock taken in the loop's head would be held during the body.
    let next = || lock(&items).next();
    current().share(&|| {
        while let Some(item) = next() {
            work(item);
        }
    });
}

/// [`each`], collecting the results in the order of the items.
pub fn map<I, R: Send>(items: I, work: impl Fn(I::Item) -> R + Sync) -> Vec<R>
where
    I: IntoIterator<IntoIter: Send>,
{
    let results = Mutex::new(Vec::new());
    each(items.into_iter().enumerate(), |(index, item)| {
        let result = work(item);
        lock(&results).push((index, result));
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// The process's team.
fn current() -> &'static Team {
    static TEAM: OnceLock<&Team> = OnceLock::new();
    #[cfg(test)]
    if let Some(team) = of_test::TEAM.get() {
        return team;
    }
    TEAM.get_or_init(|| Team::start(rayon::current_num_threads()))
}

struct Team {
    threads: usize,
    /// Set while a caller shares work.
    busy: AtomicBool,
    /// Packed state: number of threads in the work besides the caller ([`ACTIVE`]), whether more may join ([`OPEN`]),
    /// and the number of the work (from bit [`NUMBER_SHIFT`] on).
    state: AtomicU64,
    work: UnsafeCell<&'static Work<'static>>,
    /// First panic of a thread other than the caller's.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    sleepers: AtomicUsize,
    sleep_lock: Mutex<()>,
    wake: Condvar,
}

type Work<'a> = dyn Fn() + Sync + 'a;

const ACTIVE: u64 = OPEN - 1;
const OPEN: u64 = 1 << 16;
/// Lowest bit of the work's number.
const NUMBER_SHIFT: u32 = 17;

// SAFETY: `work` is written by the one thread that holds `busy`, while the work is closed and no thread is active. It
// is read only by threads that have joined since.
unsafe impl Sync for Team {}

impl Team {
    /// Starts a team of the calling thread and `threads - 1` others, which live as long as the process.
    fn start(threads: usize) -> &'static Team {
        let team: &'static Team = Box::leak(Box::new(Team {
            threads: threads.min(ACTIVE as usize),
            busy: AtomicBool::new(false),
            state: AtomicU64::new(0),
            work: UnsafeCell::new(&|| ()),
            panic: Mutex::new(None),
            sleepers: AtomicUsize::new(0),
            sleep_lock: Mutex::new(()),
            wake: Condvar::new(),
        }));
        for index in 1..team.threads {
            // If spawning fails, the other threads (at least the caller's) do its work.
            let _ = thread::Builder::new().name(format!("team {index}")).spawn(|| team.run_worker());
        }
        team
    }

    /// Runs `work` on the calling thread and on every thread that joins before the caller has finished.
    ///
    /// # Panics
    /// If `work` panics in any thread.
    fn share(&self, work: &Work<'_>) {
        if self.threads == 1 || self.busy.swap(true, Ordering::Acquire) {
            return work();
        }
        // SAFETY: the work is closed, no thread is active and no other thread holds `busy`. No thread uses the
        // reference after `close`, which is reached before `work`'s lifetime ends.
        unsafe { *self.work.get() = std::mem::transmute::<&Work<'_>, &'static Work<'static>>(work) }
        let number = (self.state.load(Ordering::Relaxed) >> NUMBER_SHIFT) + 1;
        self.state.store(number << NUMBER_SHIFT | OPEN, Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            drop(lock(&self.sleep_lock));
            self.wake.notify_all();
        }
        let own = catch_unwind(AssertUnwindSafe(work));
        self.close();
        let panic = lock(&self.panic).take();
        self.busy.store(false, Ordering::Release);
        if let Some(panic) = own.err().or(panic) {
            resume_unwind(panic);
        }
    }

    /// Closes the work to more threads and waits until the active ones have left.
    fn close(&self) {
        self.state.fetch_and(!OPEN, Ordering::Relaxed);
        let spin = Spin::new();
        while self.state.load(Ordering::Acquire) & ACTIVE != 0 {
            spin.wait();
        }
    }

    /// Main loop of a team thread.
    fn run_worker(&'static self) {
        #[cfg(test)]
        of_test::TEAM.set(Some(self));
        let mut last = 0;
        loop {
            let Some(number) = self.join_work(last) else {
                self.wait_for_work(last);
                continue;
            };
            last = number;
            // SAFETY: this thread has joined, so `work` stays valid until it leaves.
            let work = unsafe { *self.work.get() };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
                lock(&self.panic).get_or_insert(panic);
            }
            self.state.fetch_sub(1, Ordering::Release);
        }
    }

    /// Joins if there is work other than number `last`, and returns its number.
    fn join_work(&self, last: u64) -> Option<u64> {
        let joined = |state| has_new_work(state, last).then_some(state + 1);
        self.state.fetch_update(Ordering::Acquire, Ordering::Relaxed, joined).ok().map(|state| state >> NUMBER_SHIFT)
    }

    /// Waits until there may be work other than number `last`.
    fn wait_for_work(&self, last: u64) {
        let spin = Spin::new();
        while !has_new_work(self.state.load(Ordering::Relaxed), last) {
            if spin.wait() > AWAKE_TIME {
                return self.sleep(last);
            }
        }
    }

    /// Sleeps until work is shared. That work may be over when this thread wakes; more will follow.
    fn sleep(&self, last: u64) {
        let mut guard = lock(&self.sleep_lock);
        // Before the state is read: a caller that opens work afterwards sees a sleeper to wake.
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        let before = self.state.load(Ordering::SeqCst);
        while !has_new_work(before, last) && self.state.load(Ordering::SeqCst) >> NUMBER_SHIFT == before >> NUMBER_SHIFT
        {
            guard = self.wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
    }
}

fn has_new_work(state: u64, last: u64) -> bool {
    state & OPEN != 0 && state >> NUMBER_SHIFT != last
}

/// Backoff of a thread that waits for another: spin, then yield, then sleep.
struct Spin(Instant);

impl Spin {
    fn new() -> Self {
        Spin(Instant::now())
    }

    /// Waits briefly and returns the time since `new`.
    fn wait(&self) -> Duration {
        for _ in 0..32 {
            hint::spin_loop();
        }
        let waited = self.0.elapsed();
        if waited > AWAKE_TIME {
            thread::sleep(AWAKE_TIME / 10);
        } else if waited > SPIN_TIME {
            thread::yield_now();
        }
        waited
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub mod of_test {
    use std::cell::Cell;

    use super::{Mutex, Team, lock};

    thread_local! {
        pub(super) static TEAM: Cell<Option<&'static Team>> = const { Cell::new(None) };
    }

    /// Teams that no test uses. Kept for reuse, because a team's threads live as long as the process.
    static IDLE: Mutex<Vec<&Team>> = Mutex::new(Vec::new());

    /// Returns the team, also when a test fails.
    struct Borrowed {
        team: &'static Team,
        before: Option<&'static Team>,
    }

    impl Drop for Borrowed {
        fn drop(&mut self) {
            TEAM.set(self.before);
            lock(&IDLE).push(self.team);
        }
    }

    /// Runs `work` with a team of `threads` threads other than the process's.
    pub fn with_threads<R>(threads: usize, work: impl FnOnce() -> R) -> R {
        let idle = {
            let mut idle = lock(&IDLE);
            let found = idle.iter().position(|team| team.threads == threads);
            found.map(|index| idle.swap_remove(index))
        };
        let team = idle.unwrap_or_else(|| Team::start(threads));
        let _borrowed = Borrowed { team, before: TEAM.replace(Some(team)) };
        work()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::of_test::with_threads;
    use super::*;

    #[test]
    fn each_item_is_done_once_and_results_are_in_order() {
        for threads in [1, 2, 3, 7] {
            with_threads(threads, || {
                for round in 0..3000_usize {
                    let len = round % 20;
                    let mut values = vec![0; len];
                    each(values.iter_mut().enumerate(), |(index, value)| *value += index + round);
                    let expected: Vec<usize> = (round..round + len).collect();
                    assert_eq!(values, expected, "{threads} threads");
                    assert_eq!(map(&values, |value| value + 1), (round + 1..round + 1 + len).collect::<Vec<_>>());
                    // From time to time, let the other threads fall asleep.
                    if round % 500 == 0 {
                        thread::sleep(2 * AWAKE_TIME);
                    }
                }
            });
        }
    }

    /// Each thread waits for all others inside the work, even after sleeping.
    #[test]
    fn all_threads_take_part() {
        with_threads(3, || {
            for _ in 0..5 {
                thread::sleep(2 * AWAKE_TIME);
                let all = Barrier::new(3);
                each(0..3, |_| {
                    all.wait();
                });
            }
        });
    }

    #[test]
    fn work_within_work_and_of_several_callers_is_done() {
        let team = Team::start(2);
        let slowly = |value| {
            thread::yield_now();
            value
        };
        let sum = || {
            of_test::TEAM.set(Some(team));
            let inner = |len: usize| map(0..len, slowly).iter().sum::<usize>();
            (0..300).map(|_| map(0..9, inner).iter().sum::<usize>()).sum()
        };
        let sums: Vec<usize> = thread::scope(|scope| {
            let callers: Vec<_> = (0..3).map(|_| scope.spawn(sum)).collect();
            callers.into_iter().map(|caller| caller.join().expect("it does not panic")).collect()
        });
        assert_eq!(sums, [300 * 84; 3]);
    }

    #[test]
    fn a_panic_of_any_thread_reaches_the_caller() {
        with_threads(2, || {
            let caller = thread::current().id();
            for of_caller in [true, false] {
                let both = Barrier::new(2);
                let work = |_| {
                    both.wait();
                    assert_ne!(thread::current().id() == caller, of_caller, "the culprit");
                };
                let panic = catch_unwind(AssertUnwindSafe(|| each(0..2, work))).expect_err("an item panics");
                let message = panic.downcast_ref::<String>().expect("a message");
                assert!(message.contains("the culprit"), "{message}");
                assert_eq!(map(0..3, |item| item * 2), [0, 2, 4]);
            }
        });
    }
}
