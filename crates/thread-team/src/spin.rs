//! Short waits for another thread.

/// Advice to a thread that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    KeepSpinning,
    Sleep,
}

#[cfg(test)]
#[cfg(loom)]
pub use self::of_loom::Spin;
#[cfg(not(all(test, loom)))]
pub use self::standard::Spin;

#[cfg(not(all(test, loom)))]
pub mod standard {
    use std::time::{Duration, Instant};
    use std::{hint, thread};

    use super::Advice;

    /// Time that a waiting thread spins without yielding its processor.
    const SPIN_TIME: Duration = Duration::from_micros(50);
    /// Time that it spins and yields before it sleeps.
    pub const AWAKE_TIME: Duration = Duration::from_millis(2);

    /// Backoff of a thread that waits for another: spin, then yield, then sleep.
    #[derive(Debug)]
    pub struct Spin(Instant);

    impl Spin {
        pub fn new() -> Self {
            Spin(Instant::now())
        }

        /// Waits briefly. After [`AWAKE_TIME`], each call sleeps for a tenth of it.
        pub fn wait(&self) -> Advice {
            for _ in 0..32 {
                hint::spin_loop();
            }
            let waited = self.0.elapsed();
            if waited > AWAKE_TIME {
                thread::sleep(AWAKE_TIME / 10);
                return Advice::Sleep;
            }
            if waited > SPIN_TIME {
                thread::yield_now();
            }
            Advice::KeepSpinning
        }
    }
}

#[cfg(test)]
#[cfg(loom)]
mod of_loom {
    use std::cell::Cell;

    use super::Advice;

    /// Advises to sleep at once, because time does not exist in a model. A caller that cannot sleep lets the other
    /// threads run.
    pub struct Spin(Cell<Advice>);

    impl Spin {
        pub fn new() -> Self {
            Spin(Cell::new(Advice::KeepSpinning))
        }

        /// Yields from the second call on: after a yield, loom shows no old values that this thread has read before,
        /// and hides what a thread that falls asleep may miss.
        pub fn wait(&self) -> Advice {
            if self.0.replace(Advice::Sleep) == Advice::Sleep {
                loom::thread::yield_now();
            }
            Advice::Sleep
        }
    }
}
