//! Names inside a state directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use stepwell_base::ids::{RunId, StepId};
use stepwell_base::names::path_component;

pub const DATABASE_FILE: &str = "stepwell.db";
pub const LOCK_FILE: &str = "engine.lock";
/// Head of the event log's hash chain, kept outside the database.
pub const HEAD_FILE: &str = "event-head";
/// The log of engines; full ones are `engine.log.1` and so on.
pub const LOG_FILE: &str = "engine.log";
/// Output of the notify command.
pub const NOTIFY_LOG_FILE: &str = "notify.log";
/// FIFO; a byte written to it wakes the engine.
pub const WAKE_FILE: &str = "wake";
pub const ARTIFACTS_DIR: &str = "artifacts";
pub const RUNS_DIR: &str = "runs";
/// Event files of TensorBoard, derived from the database.
pub const TENSORBOARD_DIR: &str = "tensorboard";
pub const BACKUPS_DIR: &str = "backups";

/// Content of [`HEAD_FILE`] while the database is being replaced.
pub(crate) const RESTORING: &str = "a restore was not finished\n";

/// Folder for files that outlive a single attempt of a step.
pub fn scratch_dir(state_dir: &Path, run: RunId, step: &StepId) -> PathBuf {
    step_dir(state_dir, run, step).join("scratch")
}

/// The scratch files of earlier inputs. `gc` removes them once the run has ended.
pub fn set_aside_dir(state_dir: &Path, run: RunId, step: &StepId) -> PathBuf {
    step_dir(state_dir, run, step).join("set-aside")
}

/// Standard error of an attempt; for user commands also their standard output.
pub fn attempt_log(state_dir: &Path, run: RunId, step: &StepId, attempt: u32) -> PathBuf {
    step_dir(state_dir, run, step).join(format!("attempt-{attempt}.log"))
}

/// Last sign of life of an attempt that no engine supervises: the last extension of its lease, the last write to its
/// folder, or the last sign of the engine that died, whichever is later, capped at the end of the lease.
pub fn last_sign_of_life(
    state_dir: &Path,
    run: RunId,
    step: &StepId,
    lease_expires_at: Timestamp,
    heartbeat: Duration,
) -> Timestamp {
    let extended =
        SignedDuration::try_from(heartbeat).ok().and_then(|before| lease_expires_at.checked_sub(before).ok());
    let files = fs::read_dir(step_dir(state_dir, run, step)).into_iter().flatten().flatten();
    let written = files.filter_map(|entry| Timestamp::try_from(entry.metadata().ok()?.modified().ok()?).ok()).max();
    let engine = fs::metadata(state_dir.join(LOCK_FILE)).ok().filter(|lock| lock.len() > 0);
    let engine = engine.and_then(|lock| Timestamp::try_from(lock.modified().ok()?).ok());
    extended.into_iter().chain(written).chain(engine).max().unwrap_or(lease_expires_at).min(lease_expires_at)
}

/// The changes of a run's project that were not committed to Git at its submission; may be missing.
pub fn project_diff(state_dir: &Path, run: RunId) -> PathBuf {
    state_dir.join(RUNS_DIR).join(run.to_string()).join("project.diff")
}

/// The folder of a run's event files, below [`TENSORBOARD_DIR`]. The id keeps runs of one name apart.
pub fn tensorboard_folder(name: &str, run: RunId) -> String {
    format!("{}-{}", path_component(name), run.short())
}

fn step_dir(state_dir: &Path, run: RunId, step: &StepId) -> PathBuf {
    state_dir.join(RUNS_DIR).join(run.to_string()).join(step.as_str())
}
