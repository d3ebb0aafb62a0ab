//! Asks the running engine to act on a run, or acts in its place.

use crate::error::{CliError, ErrorKind};
use crate::session::Session;
use crate::view::run_handle::handle_of;
use stepwell_base::ids::RunId;
use stepwell_base::shell;
use stepwell_engine::Asked;
use stepwell_run::request::Request;

/// Sends a request and waits for the answer.
///
/// # Errors
/// `Refused` with the engine's reason, or `Failed` when it has not answered.
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
    shell::stepwell("show", [&*handle_of(session.state_dir(), run)])
}
