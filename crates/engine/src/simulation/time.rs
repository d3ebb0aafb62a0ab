//! Simulated time, in whole milliseconds.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// Later than the present, so that rows written by the real clock never look new.
const EPOCH_SECONDS: i64 = 1_900_000_000;

pub(super) struct Time {
    /// Time since the start of the seed. It never goes back.
    pub elapsed: Duration,
    /// Part of `elapsed` in which the computer slept; monotonic clocks stand still then.
    asleep: Duration,
    /// Part of `elapsed` in which the engine was stopped or the computer slept; silence proves nothing then.
    away: Duration,
    wall_offset: SignedDuration,
    /// True if the wall clock was ever set.
    pub has_jumped: bool,
    is_unnoticed: bool,
    /// Time at which an engine started after the wall clock was set since the previous start.
    pub jump_noticed_at: Option<Duration>,
    base: Instant,
}

impl Time {
    pub fn new() -> Time {
        Time {
            elapsed: Duration::ZERO,
            asleep: Duration::ZERO,
            away: Duration::ZERO,
            wall_offset: SignedDuration::ZERO,
            has_jumped: false,
            is_unnoticed: false,
            jump_noticed_at: None,
            base: Instant::now(),
        }
    }

    pub fn wall(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.elapsed).unwrap_or_default();
        Timestamp::from_second(EPOCH_SECONDS).unwrap_or_default() + elapsed + self.wall_offset
    }

    pub fn instant(&self) -> Instant {
        self.base + self.monotonic()
    }

    /// Elapsed time in which silence counts.
    pub fn awake(&self) -> Duration {
        self.elapsed - self.away
    }

    pub fn advance_to(&mut self, elapsed: Duration) {
        self.elapsed = self.elapsed.max(elapsed);
    }

    pub fn set_wall(&mut self, by: SignedDuration) {
        self.wall_offset += by;
        (self.has_jumped, self.is_unnoticed) = (true, true);
    }

    /// Records that an engine starts and reads the wall clock.
    pub fn engine_starts(&mut self) {
        if std::mem::take(&mut self.is_unnoticed) {
            self.jump_noticed_at = Some(self.elapsed);
        }
    }

    pub fn sleep(&mut self, span: Duration) {
        self.elapsed += span;
        self.asleep += span;
        self.away += span;
    }

    /// Time in which the computer was awake.
    pub fn monotonic(&self) -> Duration {
        self.elapsed - self.asleep
    }

    pub fn mark(&self) -> (Duration, Duration) {
        (self.elapsed, self.away)
    }

    /// Excludes the time since then, because the engine was stopped.
    pub fn excuse_since(&mut self, (elapsed, away): (Duration, Duration)) {
        self.away = away + (self.elapsed - elapsed);
    }
}
