//! How long to wait for a provider.

use std::time::Duration;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Longest time for which a provider's list may lack a new instance. Nobody is told before that none was created, or
    /// that one is gone.
    pub settle: Duration,
    /// Between two questions.
    pub poll: Duration,
    /// Until a launched machine must run.
    pub boot: Duration,
    /// Requests to terminate, before a person has to look.
    pub requests: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            settle: Duration::from_secs(30),
            poll: Duration::from_secs(5),
            boot: Duration::from_secs(20 * 60),
            requests: 5,
        }
    }
}
