//! The engine's time. Nothing else in the engine reads a clock or sleeps, so a simulated clock drives it exactly.

use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use rustix::time::{ClockId, clock_gettime};
use uuid::Uuid;

/// Clock that includes the time in which the computer sleeps.
#[cfg(target_os = "linux")]
const ELAPSED: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const ELAPSED: ClockId = ClockId::Monotonic;

/// Tells the time and waits.
pub(crate) trait Clock {
    /// Engine time: the wall clock at the engine's start plus elapsed time, including the computer's sleep. It never
    /// goes back: a person or NTP that sets the wall clock moves no lease, timeout or backoff. Times of successive
    /// engines can go back, because each engine reads the wall clock at its own start.
    fn now(&self) -> Timestamp;

    /// Wall clock, which can be set; only schedules follow it.
    fn wall(&self) -> Timestamp;

    /// Monotonic time, which may stand still while the computer sleeps.
    fn instant(&self) -> Instant;

    /// Returns a new UUIDv7, so that ids sort by time.
    fn new_id(&self) -> Uuid;

    /// Waits for an item for at most `limit`, or without a limit.
    fn receive<T>(&self, queue: &Receiver<T>, limit: Option<Duration>) -> Option<T>;
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemClock {
    started_at: Timestamp,
    elapsed_before: Duration,
}

impl SystemClock {
    pub(crate) fn start() -> SystemClock {
        SystemClock { started_at: Timestamp::now(), elapsed_before: elapsed() }
    }

    fn after(&self, elapsed: Duration) -> Timestamp {
        let passed =
            SignedDuration::try_from(elapsed.saturating_sub(self.elapsed_before)).unwrap_or(SignedDuration::MAX);
        self.started_at.checked_add(passed).unwrap_or(Timestamp::MAX)
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        self.after(elapsed())
    }

    fn wall(&self) -> Timestamp {
        Timestamp::now()
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }

    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn receive<T>(&self, queue: &Receiver<T>, limit: Option<Duration>) -> Option<T> {
        match limit {
            Some(limit) => queue.recv_timeout(limit).ok(),
            None => queue.recv().ok(),
        }
    }
}

fn elapsed() -> Duration {
    Duration::try_from(clock_gettime(ELAPSED)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_as_elapsed_time_does() {
        let clock = SystemClock { started_at: Timestamp::UNIX_EPOCH, elapsed_before: Duration::from_secs(100) };
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        assert_eq!(clock.after(Duration::from_secs(130)), at(30));
        assert_eq!(clock.after(Duration::from_secs(90)), at(0), "never before its start");
        assert_eq!(clock.after(Duration::MAX), Timestamp::MAX);
    }
}
