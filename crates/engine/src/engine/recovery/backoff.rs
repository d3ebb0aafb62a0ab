//! Pauses between retries while the disk is full.

use std::time::{Duration, Instant};

/// Interval between checks of free space while the engine waits for it.
pub(crate) const LOOK: Duration = Duration::from_secs(1);
/// Longest pause between retries. Free space does not reveal some shortages, such as a quota, so the engine retries
/// after a pause that doubles up to this value.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Working for this long proves that there was space.
const WORKED: Duration = Duration::from_secs(300);

/// Shortest pause before the next retry.
pub(crate) struct Backoff {
    pause: Duration,
    resumed: Instant,
}

impl Backoff {
    pub(crate) fn new(now: Instant) -> Backoff {
        Backoff { pause: LOOK, resumed: now }
    }

    pub(crate) fn next(&mut self, now: Instant) -> Duration {
        if now.duration_since(self.resumed) > WORKED {
            self.pause = LOOK;
        }
        let pause = self.pause;
        self.pause = (2 * pause).min(LONGEST_PAUSE);
        pause
    }

    pub(crate) fn resume(&mut self, now: Instant) {
        self.resumed = now;
    }
}
