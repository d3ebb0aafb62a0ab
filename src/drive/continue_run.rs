//! Continues a run, either through the engine that holds the state directory or as the engine.

use serde_json::json;

use super::foreground;
use crate::error::{CliError, ErrorKind};
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::run_handle::handle_of;
use stepwell_base::ids::RunId;
use stepwell_base::shell;
use stepwell_engine::{self, Asked, EngineError, Start};
use stepwell_run::request::Request;
use stepwell_store::{EngineLock, StoreError};

/// Drives the run in this process, or asks the running engine to drive it.
pub fn continue_run(session: &Session, run: RunId, start: Start) -> Result<Exit, CliError> {
    if let Some(lock) = lock(session)? {
        return foreground::drive(session, &lock, run, start);
    }
    let request = match start {
        Start::GoOn | Start::Resume => Request::Resume,
        Start::Retry { step } => Request::Retry { step },
    };
    ask(session, run, &request)?;
    if let Some(lock) = lock(session)? {
        // The engine has ended in the meantime.
        return foreground::drive(session, &lock, run, Start::GoOn);
    }
    let watch = shell::stepwell("watch", [&*handle_of(session, run)]);
    let text = session.out.pasteable(&format!("the running engine continues run {run}; {watch} follows it"));
    session.out.document(&text, json!({ "type": "requested", "run": { "id": run }, "request": request.kind() }))?;
    Ok(Exit::Ok)
}

/// Takes the engine lock; `None` while an engine holds it.
///
/// # Errors
/// `CrashLoop` in safe mode, when no engine may continue.
pub fn lock(session: &Session) -> Result<Option<EngineLock>, CliError> {
    match foreground::admit(session) {
        Ok(lock) => Ok(Some(lock)),
        Err(EngineError::Store(StoreError::Locked { .. })) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Asks the running engine, or acts in its place.
///
/// # Errors
/// The reason why nothing was done.
pub fn ask(session: &Session, run: RunId, request: &Request) -> Result<(), CliError> {
    let kind = request.kind();
    match stepwell_engine::ask(session.state_dir(), run, request)? {
        Asked::Done => Ok(()),
        Asked::Refused(why) => Err(CliError::new(ErrorKind::Refused, format!("cannot {kind} run {run}: {why}"))
            .hint(format!("{} tells its state", show(session, run)))),
        Asked::Unanswered => {
            Err(CliError::failed(format!("the engine has not answered: the request to {kind} run {run} is kept"))
                .hint(format!("{} tells its state", show(session, run))))
        }
    }
}

fn show(session: &Session, run: RunId) -> String {
    shell::stepwell("show", [&*handle_of(session, run)])
}
