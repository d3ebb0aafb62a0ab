//! The engine's only clock: the wall clock is read once, at the start, and from then on time goes on as
//! elapsed time does. A wall clock that is set, by a person or by NTP, moves no lease, timeout or backoff.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustix::time::{ClockId, clock_gettime};

/// Elapsed time that a computer's sleep counts towards.
#[cfg(target_os = "linux")]
const ELAPSED: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const ELAPSED: ClockId = ClockId::Monotonic;

/// Never goes back. Times of two engines can: each has set its own clock by the wall clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    started_at: Timestamp,
    elapsed_before: Duration,
}

impl Clock {
    pub(super) fn start() -> Clock {
        Clock { started_at: Timestamp::now(), elapsed_before: elapsed() }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.after(elapsed())
    }

    fn after(&self, elapsed: Duration) -> Timestamp {
        let passed =
            SignedDuration::try_from(elapsed.saturating_sub(self.elapsed_before)).unwrap_or(SignedDuration::MAX);
        self.started_at.checked_add(passed).unwrap_or(Timestamp::MAX)
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
        let clock = Clock { started_at: Timestamp::UNIX_EPOCH, elapsed_before: Duration::from_secs(100) };
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        assert_eq!(clock.after(Duration::from_secs(130)), at(30));
        assert_eq!(clock.after(Duration::from_secs(90)), at(0), "never before its start");
        assert_eq!(clock.after(Duration::MAX), Timestamp::MAX);
    }
}
