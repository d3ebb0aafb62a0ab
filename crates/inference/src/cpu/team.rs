//! Teams of threads, one per size, which live as long as the process.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use stepwell_thread_team::Team;

/// Team of `threads` threads, the caller's included.
pub fn team(threads: usize) -> &'static Team {
    static TEAMS: Mutex<BTreeMap<usize, &'static Team>> = Mutex::new(BTreeMap::new());
    let mut teams = TEAMS.lock().unwrap_or_else(PoisonError::into_inner);
    teams.entry(threads).or_insert_with(|| Team::start(threads, |_| ()))
}
