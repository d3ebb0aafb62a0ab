//! `stepwell worker`: an engine for all pending runs, and the hidden verbs of its child processes.

use std::process::ExitCode;

use super::args::{WorkerArgs, WorkerVerb};
use super::error::CliError;
use super::exit_code::Exit;
use super::progress::{ProgressView, Shown};
use super::session::Session;
use stepwell_engine::{self, EngineOptions, Outcome, Scope, Start};

/// Serves pending and interrupted runs until a signal arrives, or until nothing is left.
pub fn serve(session: &Session, args: &WorkerArgs) -> Result<Exit, CliError> {
    session.out.message(&format!("serving {}", session.state_dir().display()));
    let mut view = ProgressView::new(session, Shown::All);
    let outcome = stepwell_engine::drive(
        EngineOptions {
            state_dir: session.state_dir().to_owned(),
            scope: Scope::All { exit_when_idle: args.exit_when_idle },
            slots: session.settings.slots.value,
            limits: session.settings.limits(),
            crash_loop_limit: session.settings.crash_loop_limit.value,
            log_limit: session.settings.log_limit.value,
            start: Start::GoOn,
        },
        &mut view,
    );
    view.finish();
    Ok(match outcome? {
        Outcome::Interrupted => Exit::Interrupted,
        Outcome::Failed => Exit::Failed,
        Outcome::Succeeded | Outcome::Canceled | Outcome::Paused | Outcome::Idle => Exit::Ok,
    })
}

/// Runs as a child process of the engine, without settings or its own output.
pub fn child(verb: &WorkerVerb) -> ExitCode {
    match verb {
        WorkerVerb::Exec => stepwell_engine::worker::exec(),
    }
}
