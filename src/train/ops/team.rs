//! A team of threads that share one piece of work at a time.
//!
//! A training step shares thousands of pieces of work, some of which take less than 0.1 ms. Between two of them a thread
//! of the team stays awake: the operating system needs as long as that to wake it.

use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use std::{hint, thread};

/// How long a thread that waits keeps its processor.
const EAGER: Duration = Duration::from_micros(50);
/// How long it goes on to look whenever nobody else wants its processor. Then it sleeps.
const AWAKE: Duration = Duration::from_millis(2);

/// How many threads share work: as many as rayon's pool has, which one variable sets too.
pub fn threads() -> usize {
    current().threads
}

/// Does `work` for each of `items`, on all threads; each takes the next item when it is done with one.
///
/// Within such work, or while another caller's is shared, it is done by the calling thread alone.
pub fn each<I>(items: I, work: impl Fn(I::Item) + Sync)
where
    I: IntoIterator<IntoIter: Send>,
{
    let items = items.into_iter();
    if items.size_hint().1.is_some_and(|most| most <= 1) {
        return items.for_each(work);
    }
    let items = Mutex::new(items);
    // Not in the head of the loop, which would keep the lock.
    let next = || lock(&items).next();
    current().share(&|| {
        while let Some(item) = next() {
            work(item);
        }
    });
}

/// [`each`], and what `work` gives, in the order of the items.
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

/// The team of the process.
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
    /// Whether somebody's work is shared.
    taken: AtomicBool,
    /// How many threads beside the caller's are in the work ([`INSIDE`]), whether more may come ([`OPEN`]), and its
    /// number.
    gate: AtomicU64,
    work: UnsafeCell<&'static Work<'static>>,
    /// The first panic of another thread than the caller's.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    sleepers: AtomicUsize,
    bed: Mutex<()>,
    wake: Condvar,
}

type Work<'a> = dyn Fn() + Sync + 'a;

const INSIDE: u64 = OPEN - 1;
const OPEN: u64 = 1 << 16;
/// Where the number begins.
const NUMBER: u32 = 17;

// SAFETY: `work` is written by the one thread that has `taken` the team, while the gate is closed and nobody inside, and
// read by threads that have come through the gate since.
unsafe impl Sync for Team {}

impl Team {
    /// A team of the calling thread and of others, which live as long as the process.
    fn start(threads: usize) -> &'static Team {
        let team: &'static Team = Box::leak(Box::new(Team {
            threads: threads.min(INSIDE as usize),
            taken: AtomicBool::new(false),
            gate: AtomicU64::new(0),
            work: UnsafeCell::new(&|| ()),
            panic: Mutex::new(None),
            sleepers: AtomicUsize::new(0),
            bed: Mutex::new(()),
            wake: Condvar::new(),
        }));
        for index in 1..team.threads {
            // Without this thread the others, the caller's at least, do its work.
            let _ = thread::Builder::new().name(format!("team {index}")).spawn(|| team.serve());
        }
        team
    }

    /// Has all threads call `work` that are there before the calling thread has returned from it.
    ///
    /// # Panics
    /// When `work` does, in any thread.
    fn share(&self, work: &Work<'_>) {
        if self.threads == 1 || self.taken.swap(true, Ordering::Acquire) {
            return work();
        }
        // SAFETY: the gate is closed, nobody is inside and nobody else has taken the team. Nobody uses the reference
        // after `close`, which is reached before `work` ends.
        unsafe { *self.work.get() = std::mem::transmute::<&Work<'_>, &'static Work<'static>>(work) }
        let number = (self.gate.load(Ordering::Relaxed) >> NUMBER) + 1;
        self.gate.store(number << NUMBER | OPEN, Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            drop(lock(&self.bed));
            self.wake.notify_all();
        }
        let own = catch_unwind(AssertUnwindSafe(work));
        self.close();
        let panic = lock(&self.panic).take();
        self.taken.store(false, Ordering::Release);
        if let Some(panic) = own.err().or(panic) {
            resume_unwind(panic);
        }
    }

    /// Lets no more threads in, and waits until those inside have left.
    fn close(&self) {
        self.gate.fetch_and(!OPEN, Ordering::Relaxed);
        let patience = Patience::new();
        while self.gate.load(Ordering::Acquire) & INSIDE != 0 {
            patience.wait();
        }
    }

    /// The life of a thread of the team.
    fn serve(&'static self) {
        #[cfg(test)]
        of_test::TEAM.set(Some(self));
        let mut last = 0;
        loop {
            let Some(number) = self.enter(last) else {
                self.rest(last);
                continue;
            };
            last = number;
            // SAFETY: this thread is inside.
            let work = unsafe { *self.work.get() };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
                lock(&self.panic).get_or_insert(panic);
            }
            self.gate.fetch_sub(1, Ordering::Release);
        }
    }

    /// Comes inside if there is other work than the `last`, and gives its number.
    fn enter(&self, last: u64) -> Option<u64> {
        let entered = |gate| has_other(gate, last).then_some(gate + 1);
        self.gate.fetch_update(Ordering::Acquire, Ordering::Relaxed, entered).ok().map(|gate| gate >> NUMBER)
    }

    /// Until there is perhaps other work than the `last`.
    fn rest(&self, last: u64) {
        let patience = Patience::new();
        while !has_other(self.gate.load(Ordering::Relaxed), last) {
            if patience.wait() > AWAKE {
                return self.sleep(last);
            }
        }
    }

    /// Until somebody shares work. It may be over when this thread is awake, but then more will come.
    fn sleep(&self, last: u64) {
        let mut bed = lock(&self.bed);
        // Before the gate is looked at: whoever opens it afterwards sees that somebody has to be woken.
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        let before = self.gate.load(Ordering::SeqCst);
        while !has_other(before, last) && self.gate.load(Ordering::SeqCst) >> NUMBER == before >> NUMBER {
            bed = self.wake.wait(bed).unwrap_or_else(PoisonError::into_inner);
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
    }
}

fn has_other(gate: u64, last: u64) -> bool {
    gate & OPEN != 0 && gate >> NUMBER != last
}

/// Of a thread that waits for another one.
struct Patience(Instant);

impl Patience {
    fn new() -> Self {
        Patience(Instant::now())
    }

    /// Waits for a moment, and gives the time since the beginning.
    fn wait(&self) -> Duration {
        for _ in 0..32 {
            hint::spin_loop();
        }
        let waited = self.0.elapsed();
        if waited > AWAKE {
            thread::sleep(AWAKE / 10);
        } else if waited > EAGER {
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

    /// Teams that no test has: their threads would outlive each test that starts them.
    static IDLE: Mutex<Vec<&Team>> = Mutex::new(Vec::new());

    /// Gives the team back, also when a test fails.
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

    /// Runs `work` with a team of so many threads that is not the process's.
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
                    // Now and then the others are asleep.
                    if round % 500 == 0 {
                        thread::sleep(2 * AWAKE);
                    }
                }
            });
        }
    }

    /// Each thread waits for all others within the work, also when they have slept before.
    #[test]
    fn all_threads_take_part() {
        with_threads(3, || {
            for _ in 0..5 {
                thread::sleep(2 * AWAKE);
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
