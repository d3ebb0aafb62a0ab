//! Cancels a run from another process.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use stepwell_base::ids::RunId;
use stepwell_run::request::Request;
use stepwell_run::status::RunStatus;
use stepwell_store::Reader;
use stepwell_workflow::limits::Limits;

use crate::client::ask::ask_within;
use crate::error::EngineError;

/// Longer than an engine needs to kill attempts that ignore the request.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

/// Result of a cancel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Canceled {
    /// All processes of the run are dead.
    Done,
    /// The run had already ended, or ended just before the cancel.
    EndedBefore(RunStatus),
    /// The engine has the request but is still ending attempts.
    Requested,
}

/// Asks the engine to cancel a run and waits until the run ends. Without a running engine, does the engine's work
/// itself.
///
/// # Errors
/// When the run is unknown.
pub fn cancel(state_dir: &Path, run: RunId, limits: &Limits) -> Result<Canceled, EngineError> {
    if let Some(ended) = ended(state_dir, run)? {
        return Ok(Canceled::EndedBefore(ended));
    }
    ask_within(state_dir, run, &Request::Cancel, limits)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
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
