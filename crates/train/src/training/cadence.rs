//! Schedules checkpoints when the plan sets no interval. The choice affects how much work a crash can lose, never
//! what is trained.

use std::time::{Duration, Instant};

/// Minimum time between checkpoints. Saving a small model takes almost no time, but each checkpoint also adds a row
/// and an event.
pub const SHORTEST: Duration = Duration::from_secs(30);
/// Maximum time between checkpoints, even when saving is slow: a crash never loses much more work than this.
pub const LONGEST: Duration = Duration::from_secs(600);
/// Work per unit of checkpoint cost. The overhead is 0.8 %, which leaves a margin for a next checkpoint that costs
/// more.
const WORK_PER_COST: u32 = 125;

/// Time since the last checkpoint, and the pause which that checkpoint caused.
#[derive(Clone, Copy, Debug)]
pub struct Cadence {
    since: Instant,
    pause: Duration,
}

impl Cadence {
    /// Starts the clock when no checkpoint exists yet.
    pub fn starting_at(now: Instant) -> Self {
        Cadence { since: now, pause: Duration::ZERO }
    }

    /// Restarts the clock right after a snapshot that stopped training for `pause`.
    pub fn after_pause(pause: Duration) -> Self {
        Cadence { since: Instant::now(), pause }
    }

    /// `writing` is the training time that the last checkpoint cost besides its pause, or `None` while it is not
    /// committed: the next one would have to wait for it.
    pub fn is_due(&self, writing: Option<Duration>) -> bool {
        writing.is_some_and(|writing| self.since.elapsed() >= interval(self.pause + writing))
    }
}

/// Time between two checkpoints of this cost each.
fn interval(cost: Duration) -> Duration {
    cost.saturating_mul(WORK_PER_COST).clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(elapsed: Duration, pause: Duration) -> Cadence {
        Cadence { since: Instant::now().checked_sub(elapsed).unwrap(), pause }
    }

    #[test]
    fn the_cost_stays_below_one_per_cent_between_the_bounds() {
        for milliseconds in [240, 300, 1000, 4800] {
            let cost = Duration::from_millis(milliseconds);
            let share = cost.as_secs_f64() / interval(cost).as_secs_f64();
            assert!(share < 0.01 && share > 0.005, "{share}");
        }
        assert_eq!(interval(Duration::ZERO), SHORTEST);
        assert_eq!(interval(Duration::from_millis(100)), SHORTEST);
        assert_eq!(interval(Duration::from_secs(60)), LONGEST);
        assert_eq!(interval(Duration::MAX), LONGEST);
    }

    #[test]
    fn pauses_and_background_work_both_count() {
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        assert!(!after(2 * minute, second).is_due(Some(Duration::ZERO)));
        assert!(!after(2 * minute, Duration::ZERO).is_due(Some(second)));
        assert!(after(3 * minute, second).is_due(Some(Duration::ZERO)));
        assert!(!after(3 * minute, second).is_due(Some(second)));
        assert!(!Cadence::starting_at(Instant::now()).is_due(Some(Duration::ZERO)));
        assert!(after(minute, Duration::ZERO).is_due(Some(Duration::ZERO)));
    }

    #[test]
    fn nothing_is_due_while_the_checkpoint_before_is_written() {
        assert!(!after(Duration::from_secs(3600), Duration::ZERO).is_due(None));
    }
}
