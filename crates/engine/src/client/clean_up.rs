//! Cleans up from another process: alone, or by a request to the engine that holds the state directory.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use stepwell_artifact::ArtifactStore;
use stepwell_store::{EngineLock, Reader, StoreError};

use crate::client::wake::wake;
use crate::maintenance::choose::CleanUp;
use crate::maintenance::clean_up::{Task, clean_up_alone, preview};
use crate::maintenance::error::MaintenanceError;
use crate::maintenance::requested::Requested;
use crate::maintenance::sweep::{Collected, Sweep};

/// Longest wait for the engine to start. An engine starts between two commits, or after an earlier clean-up.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);
/// Time between two wakes: an engine that has just started may have missed the first.
const WAKES: Duration = Duration::from_secs(1);

/// Cleans up, or with `DryRun` tells what would go. With a running engine, the engine does the work: this call waits for
/// it, and does the work itself if the engine ends before. A request outlives this process.
///
/// # Errors
/// `NotEnded`, `Kept`, `InUse` or `Pruned` if a run of `Remove` must stay: nothing is removed then. `Leased` when an
/// engine has died and its attempts may still write, `Unreadable` when a tree that is referred to cannot be read.
pub fn clean_up(state_dir: &Path, clean_up: &CleanUp, sweep: Sweep) -> Result<Collected, MaintenanceError> {
    if sweep == Sweep::DryRun {
        return preview(state_dir, clean_up);
    }
    // A missing state must fail before the lock creates anything.
    let reader = Reader::open(state_dir)?;
    if let Some(lock) = lock(state_dir)? {
        return clean_up_alone(&lock, state_dir, &Task::New(clean_up));
    }
    // The engine refuses in the same cases; here the reasons have their kinds.
    clean_up.choose(&reader)?;
    let requested = Requested::file(state_dir, &ArtifactStore::open(state_dir)?, clean_up)?;
    let deadline = Instant::now() + PATIENCE;
    let mut next_wake = Instant::now();
    loop {
        if Instant::now() >= next_wake {
            wake(state_dir);
            next_wake += WAKES;
        }
        if requested.answered()?.is_some() {
            return requested.collected(&reader);
        }
        if EngineLock::holder(state_dir).is_none()
            && let Some(lock) = lock(state_dir)?
        {
            let done = clean_up_alone(&lock, state_dir, &Task::Requested(requested.id));
            // Nobody may do later what this refuses now.
            if matches!(done, Err(MaintenanceError::Leased { .. })) && !requested.is_planned() {
                requested.forget();
            }
            return done;
        }
        if Instant::now() > deadline && !requested.is_planned() {
            return Err(MaintenanceError::Unanswered);
        }
        thread::sleep(PAUSE);
    }
}

fn lock(state_dir: &Path) -> Result<Option<EngineLock>, MaintenanceError> {
    match EngineLock::acquire(state_dir) {
        Ok(lock) => Ok(Some(lock)),
        Err(StoreError::Locked { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
