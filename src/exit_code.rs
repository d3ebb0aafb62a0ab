//! Every exit code of the program. Scripts depend on these numbers: add, never change.

use std::process::ExitCode;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    Ok = 0,
    /// A bug or an unexpected failure of the system.
    Internal = 1,
    /// Bad arguments or an invalid workflow.
    Usage = 2,
    /// The run ended without success, or a check found a problem.
    Failed = 3,
    Canceled = 5,
    /// No such run, step, artifact or workflow.
    NotFound = 6,
    /// Another engine holds the state directory, its schema is newer than this build, or it is in safe mode.
    Locked = 7,
    /// Stopped by a signal, or not started for lack of space; `resume` can continue.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}
