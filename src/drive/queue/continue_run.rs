//! Continues a run, either through the engine that holds the state directory or as the engine.

use serde_json::json;

use super::ask::ask;
use super::detach::Drive;
use super::task::Task;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::run_handle::handle_of;
use stepwell_base::ids::RunId;
use stepwell_base::shell;
use stepwell_engine::Start;
use stepwell_run::request::Request;
use stepwell_store::EngineLock;

/// Drives the run in this process, or asks the running engine to drive it and watches it to its end. Detached, it only
/// asks.
pub fn continue_run(session: &Session, run: RunId, start: Start, drive: Drive) -> Result<Exit, CliError> {
    let request = match start.clone() {
        Start::GoOn | Start::Resume => Request::Resume,
        Start::Retry { step } => Request::Retry { step },
    };
    match drive {
        Drive::Foreground => {
            let after_seq = session.reader()?.newest_event()?;
            Task { run, start, request: Some(request), after_seq }.run_to_end(session)
        }
        Drive::Detached => {
            ask(session, run, &request)?;
            let watch = shell::stepwell("watch", [&*handle_of(session.state_dir(), run)]);
            let text = match EngineLock::holder(session.state_dir()) {
                Some(_) => format!("the running engine continues run {run}; {watch} follows it"),
                None => format!("run {run} waits for an engine: `stepwell worker` is one; {watch} follows the run"),
            };
            let value = json!({ "type": "requested", "run": { "id": run }, "request": request.kind() });
            session.out.document(&session.out.pasteable(&text), value)?;
            Ok(Exit::Ok)
        }
    }
}
