//! Sends a request to the engine from another process.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use stepwell_base::ids::RunId;
use stepwell_run::request::Request;
use stepwell_store::{EngineLock, Store, StoreError};
use stepwell_workflow::limits::Limits;

use crate::client::wake::wake;
use crate::engine::drive_locked;
use crate::error::EngineError;
use crate::options::{EngineOptions, Quiet, Scope, Start};

/// Longest wait for an answer. An engine answers between two commits.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// Result of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Asked {
    Done,
    /// Refused, for this reason.
    Refused(String),
    /// The engine is busy; the request stays in the database.
    Unanswered,
}

/// Writes a request to the database and waits for its answer. Without a running engine, does the engine's work itself.
///
/// # Errors
/// When the run is unknown.
pub fn ask(state_dir: &Path, run: RunId, request: &Request) -> Result<Asked, EngineError> {
    ask_within(state_dir, run, request, &Limits::default())
}

/// Like [`ask`], for a request that may end the run: without a running engine, the owner is notified as `limits` say.
pub(super) fn ask_within(
    state_dir: &Path,
    run: RunId,
    request: &Request,
    limits: &Limits,
) -> Result<Asked, EngineError> {
    let mut store = Store::open(state_dir)?;
    let id = store.request(run, request, Timestamp::now())?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        // The engine can exit at any moment, even before it reads the request. While it runs in this process, trying its
        // lock would only take time.
        let lock = match EngineLock::is_held_here(state_dir) {
            true => None,
            false => match EngineLock::acquire(state_dir) {
                Ok(lock) => Some(lock),
                Err(StoreError::Locked { .. }) => None,
                Err(error) => return Err(error.into()),
            },
        };
        match lock {
            Some(lock) => {
                let state_dir = state_dir.to_owned();
                let options = EngineOptions {
                    state_dir,
                    scope: Scope::Requests,
                    slots: 1,
                    limits: limits.clone(),
                    crash_loop_limit: 0,
                    log_limit: 0,
                    start: Start::GoOn,
                };
                drive_locked(&lock, options, &mut Quiet)?;
            }
            None => wake(state_dir),
        }
        match store.reader().answer(id)? {
            Some(answer) => return Ok(answer.refusal.map_or(Asked::Done, Asked::Refused)),
            None if Instant::now() > deadline => return Ok(Asked::Unanswered),
            None => thread::sleep(PAUSE),
        }
    }
}
