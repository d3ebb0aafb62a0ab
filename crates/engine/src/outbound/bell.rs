//! Wakes a thread that sends, and tells it when the engine ends.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// News for a thread that sends.
#[derive(Default)]
pub(super) struct Bell {
    state: Mutex<Told>,
    rung: Condvar,
}

#[derive(Clone, Copy, Default)]
struct Told {
    /// There are events that may concern it.
    news: bool,
    /// The engine ends: first attempts may last until then, and nothing else is waited for.
    ends_at: Option<Instant>,
}

impl Bell {
    pub(super) fn ring(&self) {
        self.lock().news = true;
        self.rung.notify_one();
    }

    pub(super) fn end(&self, at: Instant) {
        self.lock().ends_at = Some(at);
        self.rung.notify_one();
    }

    pub(super) fn ends_at(&self) -> Option<Instant> {
        self.lock().ends_at
    }

    /// Waits for news or the end, up to a limit.
    pub(super) fn wait(&self, limit: Option<Duration>) {
        let state = self.lock();
        let is_quiet = |told: &mut Told| !told.news && told.ends_at.is_none();
        let mut state = match limit {
            Some(limit) => {
                self.rung.wait_timeout_while(state, limit, is_quiet).unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.rung.wait_while(state, is_quiet).unwrap_or_else(PoisonError::into_inner),
        };
        state.news = false;
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
