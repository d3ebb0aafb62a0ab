//! Canceling from another process.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::core::ids::RunId;
use crate::core::status::RunStatus;
use crate::store::{EngineLock, Reader, Store, StoreError};

use super::drive::drive_locked;
use super::error::EngineError;
use super::options::{EngineOptions, Quiet, Scope};
use super::wake::wake;

/// Longer than an engine needs to end attempts that do not listen.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// What came of a cancel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Canceled {
    /// All processes of the run are dead.
    Done,
    /// The run had ended, or ended just before.
    EndedBefore(RunStatus),
    /// The engine has the request, but is still ending attempts.
    Requested,
}

/// Asks the engine to cancel a run and waits for it; without an engine, does its work.
///
/// # Errors
/// When the run is unknown, or the state cannot be read or written.
pub fn cancel(state_dir: &Path, run: RunId) -> Result<Canceled, EngineError> {
    if let Some(ended) = ended(state_dir, run)? {
        return Ok(Canceled::EndedBefore(ended));
    }
    Store::open(state_dir)?.request_cancel(run, Timestamp::now())?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        // The engine may end at any moment, also before it has seen the request.
        match EngineLock::acquire(state_dir) {
            Ok(lock) => {
                let state_dir = state_dir.to_owned();
                drive_locked(
                    &lock,
                    EngineOptions { state_dir, scope: Scope::Run(run), slots: 1, reuse: false },
                    &mut Quiet,
                )?;
            }
            Err(StoreError::Locked { .. }) => wake(state_dir),
            Err(error) => return Err(error.into()),
        }
        match ended(state_dir, run)? {
            Some(RunStatus::Canceled) => return Ok(Canceled::Done),
            Some(status) => return Ok(Canceled::EndedBefore(status)),
            None if Instant::now() > deadline => return Ok(Canceled::Requested),
            None => thread::sleep(PAUSE),
        }
    }
}

fn ended(state_dir: &Path, run: RunId) -> Result<Option<RunStatus>, EngineError> {
    let status = Reader::open(state_dir)?.run(run)?.stored_status;
    Ok(status.is_terminal().then_some(status))
}
