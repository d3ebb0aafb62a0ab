//! Counts and speeds of an attempt, for people.

use std::time::Instant;

use super::durable::Outcome;
use stepwell_batch::estimate::{Estimate, Pace};

pub(super) struct Tally {
    started: Instant,
    total: u64,
    at_start: u64,
    done: u64,
    failed: u64,
    reused: u64,
    /// Tokens that this attempt has computed, and those of the answers that it has recorded.
    computed: u64,
    pace: Pace,
    /// Time and tokens of the last reading of the speed.
    window: (f64, u64),
    speed: Option<f64>,
}

/// Shortest time over which a speed is measured, in seconds.
const WINDOW: f64 = 2.0;

impl Tally {
    /// `done` rows of `total` have ended before, and `failed` of these have failed.
    pub(super) fn new(total: u64, done: u64, failed: u64) -> Tally {
        Tally {
            started: Instant::now(),
            total,
            at_start: done,
            done,
            failed,
            reused: 0,
            computed: 0,
            pace: Pace::default(),
            window: (0.0, 0),
            speed: None,
        }
    }

    pub(super) fn tokens(&mut self, computed: u64) {
        self.computed += computed;
    }

    pub(super) fn reused(&mut self) {
        self.reused += 1;
    }

    pub(super) fn ended(&mut self, outcome: &Outcome) {
        self.done += 1;
        self.failed += u64::from(matches!(outcome, Outcome::Failed(_)));
    }

    pub(super) fn done(&self) -> u64 {
        self.done
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed
    }

    pub(super) fn at_start(&self) -> u64 {
        self.at_start
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn reused_rows(&self) -> u64 {
        self.reused
    }

    pub(super) fn tokens_so_far(&self) -> u64 {
        self.computed
    }

    pub(super) fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Tokens per second over the whole attempt.
    pub(super) fn mean_speed(&self) -> f64 {
        self.computed as f64 / self.seconds().max(1e-3)
    }

    /// Measures; returns a new speed in tokens per second if enough time has passed.
    pub(super) fn measure(&mut self) -> Option<f64> {
        let now = self.seconds();
        let (then, tokens) = self.window;
        if now - then < WINDOW {
            return None;
        }
        self.pace.note(now, self.done - self.at_start - self.reused);
        self.window = (now, self.computed);
        self.speed = Some((self.computed - tokens) as f64 / (now - then));
        self.speed
    }

    pub(super) fn estimate(&self) -> Option<Estimate> {
        self.pace.estimate(self.total - self.done)
    }

    /// A line for people.
    pub(super) fn message(&self) -> String {
        let mut parts = Vec::new();
        if let Some(speed) = self.speed {
            parts.push(format!("{speed:.0} tok/s"));
        }
        if self.failed > 0 {
            parts.push(format!("{} failed", self.failed));
        }
        if self.reused > 0 {
            parts.push(format!("{} reused", self.reused));
        }
        if let Some(estimate) = self.estimate() {
            parts.push(format!("{} to {} left", short(estimate.least), short(estimate.most)));
        }
        parts.join("  ")
    }
}

/// A time in its two largest units.
pub(super) fn short(seconds: f64) -> String {
    let seconds = seconds.round().max(0.0) as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds.div_ceil(60)),
        3600..172_800 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}
