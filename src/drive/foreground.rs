//! Drives one run in this process, shows its progress, and reports how it ended.

use crate::error::CliError;
use crate::exit_code::Exit;
use crate::log;
use crate::session::Session;
use crate::view::progress::{ProgressView, Shown};
use crate::view::run_handle::handle_of;
use crate::view::summary;
use stepwell_base::ids::RunId;
use stepwell_base::shell;
use stepwell_engine::{self, EngineError, EngineOptions, Outcome, Scope, Start};
use stepwell_store::EngineLock;

/// Takes the engine lock to drive a run here; call it before submitting or requesting anything.
///
/// # Errors
/// `Locked` when another engine holds the state directory, `CrashLoop` when engines are in safe mode.
pub fn admit(session: &Session) -> Result<EngineLock, EngineError> {
    stepwell_engine::admit(session.state_dir(), session.settings.crash_loop_limit.value)
}

pub fn drive(session: &Session, lock: &EngineLock, run: RunId, start: Start) -> Result<Exit, CliError> {
    log::engine(session.state_dir());
    let mut view = ProgressView::new(session, Shown::Run(run));
    let outcome = stepwell_engine::drive_locked(
        lock,
        EngineOptions {
            state_dir: session.state_dir().to_owned(),
            scope: Scope::Run(run),
            slots: session.settings.slots.value,
            limits: session.settings.limits(),
            crash_loop_limit: session.settings.crash_loop_limit.value,
            log_limit: session.settings.log_limit.value,
            start,
        },
        &mut view,
    );
    view.finish();
    match outcome? {
        Outcome::Succeeded | Outcome::Idle => {
            summary::succeeded(session, run)?;
            Ok(Exit::Ok)
        }
        Outcome::Failed => {
            summary::failed(session, run)?;
            Ok(Exit::Failed)
        }
        Outcome::Canceled => {
            session.out.message(&format!("run {run} is canceled"));
            Ok(Exit::Canceled)
        }
        Outcome::Paused => {
            session.out.message(&format!("run {run} is paused"));
            session.out.message(&format!("hint: {} continues it", resume(session, run)));
            Ok(Exit::Interrupted)
        }
        Outcome::Interrupted => {
            session.out.message(&format!("run {run} is interrupted; nothing that was committed is lost"));
            session.out.message(&format!("hint: {} continues it", resume(session, run)));
            Ok(Exit::Interrupted)
        }
    }
}

fn resume(session: &Session, run: RunId) -> String {
    shell::stepwell("resume", [&*handle_of(session, run)])
}
