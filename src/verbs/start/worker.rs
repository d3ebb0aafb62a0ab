//! `stepwell worker`: an engine for all pending runs, and the hidden verbs of its child processes.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::arguments::LogArgs;
use crate::drive::shared_disk;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::log;
use crate::session::Session;
use crate::tensorboard::{self, Mirrored};
use crate::view::progress::{ProgressView, Shown};
use stepwell_engine::{self, EngineOptions, Outcome, Scope, Start};

/// Run everything that is pending or interrupted in this state directory
///
/// Serves new submissions and schedules until it is stopped. It copies the exports of finished runs to the exports
/// directory.
#[derive(Args, Debug)]
pub struct WorkerArgs {
    /// Exit when nothing is left to do
    #[arg(long)]
    pub exit_when_idle: bool,
    #[command(flatten)]
    pub logs: LogArgs,
    #[command(subcommand)]
    pub verb: Option<WorkerVerb>,
}

#[derive(Subcommand, Debug)]
pub enum WorkerVerb {
    /// Run one attempt; the engine starts this
    #[command(hide = true)]
    Exec,
    /// Run the attempt of a folder; an executor starts this on another machine
    #[command(hide = true)]
    Remote { folder: PathBuf },
    /// Print the state of the attempt of a folder
    #[command(hide = true)]
    Look { folder: PathBuf },
    /// End every process of the attempt of a folder
    #[command(hide = true)]
    End { folder: PathBuf },
}

impl WorkerVerb {
    /// Runs as a child process of the engine, without settings or its own output.
    pub fn run(&self) -> ExitCode {
        match self {
            WorkerVerb::Exec => {
                log::worker();
                stepwell_engine::worker::exec()
            }
            WorkerVerb::Remote { folder } => {
                log::worker();
                stepwell_engine::executors::agent(folder)
            }
            WorkerVerb::Look { folder } => stepwell_engine::executors::look(folder),
            WorkerVerb::End { folder } => stepwell_engine::executors::end(folder),
        }
    }
}

/// Serves pending and interrupted runs until a signal arrives, or until nothing is left.
pub fn worker(session: &Session, args: &WorkerArgs) -> Result<Exit, CliError> {
    log::engine(session.state_dir());
    shared_disk::warn(session);
    session.out.message(&format!("serving {}", session.state_dir().display()));
    let mut view = ProgressView::new(session, Shown::All);
    view.show_waits();
    let follower = tensorboard::follow(session, view.printing());
    let mut observer = Mirrored::new(&mut view, follower);
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
        &mut observer,
    );
    observer.finish();
    view.finish();
    Ok(match outcome? {
        Outcome::Interrupted => Exit::Interrupted,
        Outcome::Failed => Exit::Failed,
        Outcome::Succeeded | Outcome::Canceled | Outcome::Paused | Outcome::Idle => Exit::Ok,
    })
}
