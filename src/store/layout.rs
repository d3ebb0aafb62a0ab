//! Names inside a state directory.

use std::path::{Path, PathBuf};

use crate::core::ids::{RunId, StepId};

pub const DATABASE_FILE: &str = "stepwell.db";
pub const LOCK_FILE: &str = "engine.lock";
/// Head of the event log's hash chain, outside of the database.
pub const HEAD_FILE: &str = "event-head";
/// FIFO: a byte written into it wakes the engine.
pub const WAKE_FILE: &str = "wake";
pub const ARTIFACTS_DIR: &str = "artifacts";
pub const RUNS_DIR: &str = "runs";
pub const BACKUPS_DIR: &str = "backups";

/// Where the attempts of a step keep what must survive them.
pub fn scratch_dir(state_dir: &Path, run: RunId, step: &StepId) -> PathBuf {
    step_dir(state_dir, run, step).join("scratch")
}

/// The standard error of an attempt; for user commands also their standard output.
pub fn attempt_log(state_dir: &Path, run: RunId, step: &StepId, attempt: u32) -> PathBuf {
    step_dir(state_dir, run, step).join(format!("attempt-{attempt}.log"))
}

fn step_dir(state_dir: &Path, run: RunId, step: &StepId) -> PathBuf {
    state_dir.join(RUNS_DIR).join(run.to_string()).join(step.as_str())
}
