//! Pauses between tries while the disk is full.

use std::time::{Duration, Instant};

/// How often free space is looked at, only while it is waited for.
pub(crate) const LOOK: Duration = Duration::from_secs(1);
/// Some lacks cannot be seen from free space, such as a quota: those are tried again after a pause that
/// doubles up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Work for this long means that there was space.
const WORKED: Duration = Duration::from_secs(300);

/// Shortest pause before the next try.
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
