//! Stops work in the middle, so that everything can resume later.

use std::fmt;

use stepwell_base::ids::{Fence, StepId};
use stepwell_run::command::Command;
use stepwell_run::event::ReleaseCause;

use crate::engine::recovery::disk;

/// Request to stop the engine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Stop {
    pub reason: String,
    /// Free bytes at which the engine resumes by itself; `None` when it ends.
    pub until_free: Option<u64>,
}

impl Stop {
    pub(crate) fn for_signal(signal: i32) -> Stop {
        let name = signal_hook::low_level::signal_name(signal).unwrap_or("a signal");
        Stop { reason: format!("stopped by {name}"), until_free: None }
    }

    pub(crate) fn for_full_disk(cause: &dyn fmt::Display, needed_bytes: Option<u64>) -> Stop {
        Stop { reason: format!("the disk is full: {cause}"), until_free: Some(disk::until_free(needed_bytes)) }
    }
}

/// Releases an attempt without counting a failure.
pub(crate) fn stopped(step: StepId, fence: Fence, reason: String) -> Command {
    Command::Release { step, fence, cause: ReleaseCause::Stopped, reason }
}
