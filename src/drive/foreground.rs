//! Drives one run in this process, shows its progress, and reports how it ended.

use super::ending::{Ending, report};
use super::queue::left_pending;
use super::shared_disk;
use crate::error::CliError;
use crate::exit_code::Exit;
use crate::log;
use crate::session::Session;
use crate::tensorboard::{self, Mirrored};
use crate::view::progress::{ProgressView, Shown};
use stepwell_base::ids::RunId;
use stepwell_engine::{self, EngineError, EngineOptions, Scope, Start};
use stepwell_store::{EngineLock, StoreError};

/// Takes the engine lock to drive a run here; call it before submitting or requesting anything. `None` while another
/// process holds it.
///
/// # Errors
/// `CrashLoop` in safe mode, when no engine may start.
pub fn lock(session: &Session) -> Result<Option<EngineLock>, CliError> {
    match stepwell_engine::admit(session.state_dir(), session.settings.crash_loop_limit.value) {
        Ok(lock) => Ok(Some(lock)),
        Err(EngineError::Store(StoreError::Locked { .. })) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Drives the run to its end, as the engine, and reports how it ended.
pub fn drive(session: &Session, lock: EngineLock, run: RunId, start: Start) -> Result<Exit, CliError> {
    log::engine(session.state_dir());
    shared_disk::warn(session);
    let mut view = ProgressView::new(session, Shown::Run(run));
    view.show_waits();
    let follower = tensorboard::follow(session, view.printing());
    let mut observer = Mirrored::new(&mut view, follower);
    let outcome = stepwell_engine::drive_locked(
        &lock,
        EngineOptions {
            state_dir: session.state_dir().to_owned(),
            scope: Scope::Run(run),
            slots: session.settings.slots.value,
            limits: session.settings.limits(),
            crash_loop_limit: session.settings.crash_loop_limit.value,
            log_limit: session.settings.log_limit.value,
            start,
        },
        &mut observer,
    );
    observer.finish();
    view.finish();
    let exit = report(session, run, Ending::of(outcome?))?;
    drop(lock);
    left_pending::tell(session)?;
    Ok(exit)
}
