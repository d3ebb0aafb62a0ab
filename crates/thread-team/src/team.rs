//! The handshake: open work, join, leave, close, sleep, wake.

use std::any::Any;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::PoisonError;

use super::protocol::{Protocol, Sound};
use super::spin::{Advice, Spin};
use super::sync::{AtomicBool, AtomicU64, AtomicUsize, Condvar, Mutex, Ordering, UnsafeCell, fence, lock};

/// Threads that share one piece of work at a time.
pub struct Team<P = Sound> {
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
    protocol: PhantomData<P>,
}

type Work<'a> = dyn Fn() + Sync + 'a;

const ACTIVE: u64 = OPEN - 1;
const OPEN: u64 = 1 << 16;
/// Lowest bit of the work's number.
const NUMBER_SHIFT: u32 = 17;

// SAFETY: `work` is written by the one thread that holds `busy`, while the work is closed and no thread is active. It
// is read only by threads that have joined since.
#[expect(unsafe_code, reason = "a cell whose access the handshake orders")]
unsafe impl<P> Sync for Team<P> {}

#[cfg(not(all(test, loom)))]
impl Team {
    /// Starts a team of the calling thread and `threads - 1` others, which live as long as the process. Each calls
    /// `on_start` first.
    pub fn start(threads: usize, on_start: fn(&'static Team)) -> &'static Team {
        let team: &'static Team = Box::leak(Box::new(Team::new(threads)));
        for index in 1..team.threads {
            let run = move || {
                on_start(team);
                let mut last = 0;
                loop {
                    last = team.take_part(last);
                }
            };
            // If spawning fails, the other threads (at least the caller's) do its work.
            let _ = std::thread::Builder::new().name(format!("team {index}")).spawn(run);
        }
        team
    }
}

impl<P: Protocol> Team<P> {
    pub(super) fn new(threads: usize) -> Self {
        Team {
            threads: threads.min(ACTIVE as usize),
            busy: AtomicBool::new(false),
            state: AtomicU64::new(0),
            work: UnsafeCell::new(&|| ()),
            panic: Mutex::new(None),
            sleepers: AtomicUsize::new(0),
            sleep_lock: Mutex::new(()),
            wake: Condvar::new(),
            protocol: PhantomData,
        }
    }

    /// Number of threads that share work, the caller's included.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Runs `work` on the calling thread and on every thread that joins before the caller has finished.
    ///
    /// # Panics
    /// When `work` panics in any thread.
    pub fn share(&self, work: &Work<'_>) {
        if self.threads == 1 || self.busy.swap(true, P::ACQUIRE_TEAM) {
            return work();
        }
        self.open(work);
        let own = catch_unwind(AssertUnwindSafe(work));
        self.close();
        let panic = lock(&self.panic).take();
        self.busy.store(false, P::RELEASE_TEAM);
        if let Some(panic) = own.err().or(panic) {
            resume_unwind(panic);
        }
    }

    /// Lets threads join the work, and wakes those that sleep.
    fn open(&self, work: &Work<'_>) {
        // SAFETY: the work is closed, no thread is active and no other thread holds `busy`. No thread uses the
        // reference after `close`, which is reached before `work`'s lifetime ends.
        #[expect(unsafe_code, reason = "work is lent to threads that leave it before it ends")]
        self.work.with_mut(|cell| unsafe { *cell = std::mem::transmute::<&Work<'_>, &'static Work<'static>>(work) });
        let number = (self.state.load(Ordering::Relaxed) >> NUMBER_SHIFT) + 1;
        self.state.store(number << NUMBER_SHIFT | OPEN, P::OPEN);
        fence(P::SLEEP_FENCE);
        if self.sleepers.load(Ordering::Relaxed) > 0 {
            if P::LOCKS_TO_WAKE {
                drop(lock(&self.sleep_lock));
            }
            self.wake.notify_all();
        }
    }

    /// Closes the work to more threads and waits until the active ones have left.
    fn close(&self) {
        self.state.fetch_and(!OPEN, Ordering::Relaxed);
        let spin = Spin::new();
        while self.state.load(P::CLOSE) & ACTIVE != 0 {
            spin.wait();
        }
    }

    /// Waits for work other than number `last`, runs it, and returns its number.
    pub(super) fn take_part(&self, last: u64) -> u64 {
        let number = loop {
            match self.join_work(last) {
                Some(number) => break number,
                None => self.wait_for_work(last),
            }
        };
        // SAFETY: this thread has joined, so `work` stays valid until it leaves.
        #[expect(unsafe_code, reason = "work is lent to threads that leave it before it ends")]
        let work = self.work.with(|cell| unsafe { *cell });
        if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
            lock(&self.panic).get_or_insert(panic);
        }
        self.state.fetch_sub(1, P::LEAVE);
        number
    }

    /// Joins if there is work other than number `last`, and returns its number.
    fn join_work(&self, last: u64) -> Option<u64> {
        let joined = |state| has_new_work(state, last).then_some(state + 1);
        self.state.fetch_update(P::JOIN, Ordering::Relaxed, joined).ok().map(|state| state >> NUMBER_SHIFT)
    }

    /// Waits until there may be work other than number `last`.
    fn wait_for_work(&self, last: u64) {
        let spin = Spin::new();
        while !has_new_work(self.state.load(Ordering::Relaxed), last) {
            if spin.wait() == Advice::Sleep {
                return self.sleep(last);
            }
        }
    }

    /// Sleeps until work is shared. That work may be over when this thread wakes; more will follow.
    fn sleep(&self, last: u64) {
        let mut guard = lock(&self.sleep_lock);
        self.sleepers.fetch_add(1, Ordering::Relaxed);
        fence(P::SLEEP_FENCE);
        let before = self.state.load(Ordering::Relaxed);
        let is_unchanged = || self.state.load(Ordering::Relaxed) >> NUMBER_SHIFT == before >> NUMBER_SHIFT;
        while !has_new_work(before, last) && is_unchanged() {
            guard = self.wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        self.sleepers.fetch_sub(1, Ordering::Relaxed);
    }
}

fn has_new_work(state: u64, last: u64) -> bool {
    state & OPEN != 0 && state >> NUMBER_SHIFT != last
}
