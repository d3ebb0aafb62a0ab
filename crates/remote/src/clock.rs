//! The clock of this machine, which tests replace.

use std::thread;
use std::time::Duration;

use jiff::Timestamp;

/// Time as this machine sees it. It decides when a consent expires and how long to wait, never what a machine costs.
pub trait Clock {
    fn now(&self) -> Timestamp;
    fn sleep(&self, pause: Duration);
}

pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep(&self, pause: Duration) {
        thread::sleep(pause);
    }
}
