//! Reports how a run ended, with the same words whoever drove it.

use crate::error::CliError;
use crate::exit_code::Exit;
use crate::session::Session;
use crate::view::run_handle::handle_of;
use crate::view::summary;
use stepwell_base::ids::RunId;
use stepwell_base::shell;
use stepwell_engine::Outcome;
use stepwell_run::status::RunStatus;

/// A state in which nothing more happens to a run until a person acts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    Succeeded,
    Failed,
    Canceled,
    Paused,
    Interrupted,
}

impl Ending {
    pub fn of(outcome: Outcome) -> Ending {
        match outcome {
            Outcome::Succeeded | Outcome::Idle => Ending::Succeeded,
            Outcome::Failed => Ending::Failed,
            Outcome::Canceled => Ending::Canceled,
            Outcome::Paused => Ending::Paused,
            Outcome::Interrupted => Ending::Interrupted,
        }
    }

    /// The ending that a status stands for; `None` while an engine drives the run or may do so by itself.
    pub fn of_status(status: RunStatus) -> Option<Ending> {
        match status {
            RunStatus::Succeeded => Some(Ending::Succeeded),
            RunStatus::Failed => Some(Ending::Failed),
            RunStatus::Canceled => Some(Ending::Canceled),
            RunStatus::Paused => Some(Ending::Paused),
            RunStatus::Pending | RunStatus::Running | RunStatus::Interrupted | RunStatus::Canceling => None,
        }
    }
}

/// Prints the summary or the failures of a run, and what a person can do next.
pub fn report(session: &Session, run: RunId, ending: Ending) -> Result<Exit, CliError> {
    match ending {
        Ending::Succeeded => {
            summary::succeeded(session, run)?;
            Ok(Exit::Ok)
        }
        Ending::Failed => {
            summary::failed(session, run)?;
            Ok(Exit::Failed)
        }
        Ending::Canceled => {
            session.out.message(&format!("run {run} is canceled"));
            Ok(Exit::Canceled)
        }
        Ending::Paused => {
            session.out.message(&format!("run {run} is paused"));
            session.out.message(&format!("hint: {} continues it", resume(session, run)));
            Ok(Exit::Interrupted)
        }
        Ending::Interrupted => {
            session.out.message(&format!("run {run} is interrupted; nothing that was committed is lost"));
            session.out.message(&format!("hint: {} continues it", resume(session, run)));
            Ok(Exit::Interrupted)
        }
    }
}

fn resume(session: &Session, run: RunId) -> String {
    shell::stepwell("resume", [&*handle_of(session.state_dir(), run)])
}
