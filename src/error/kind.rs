//! The kinds of errors that scripts can tell apart.

use crate::exit_code::Exit;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorKind {
    /// Bad arguments.
    Usage,
    InvalidWorkflow,
    InvalidSettings,
    /// A file that would have to be overwritten.
    Exists,
    AmbiguousRun,
    AmbiguousStep,
    ScheduleExists,
    /// An active run has the name.
    NameActive,
    /// The run or its engine refuses a request.
    Refused,
    NotFound,
    /// A run or a check failed.
    Failed,
    Damaged,
    Canceled,
    /// Another engine holds the state directory.
    Locked,
    Busy,
    OlderSchema,
    NewerSchema,
    /// Processes of a dead engine may still work on the run.
    Leased,
    SafeMode,
    NoSpace,
    /// The system refused an operation on a file.
    Io,
    /// An unexpected failure of the database.
    State,
    /// An unexpected failure of the engine.
    Engine,
    /// Any other unexpected failure.
    Internal,
}

impl ErrorKind {
    /// The stable name for scripts.
    pub fn code(self) -> &'static str {
        match self {
            ErrorKind::Usage => "usage",
            ErrorKind::InvalidWorkflow => "invalid_workflow",
            ErrorKind::InvalidSettings => "invalid_settings",
            ErrorKind::Exists => "exists",
            ErrorKind::AmbiguousRun => "ambiguous_run",
            ErrorKind::AmbiguousStep => "ambiguous_step",
            ErrorKind::ScheduleExists => "schedule_exists",
            ErrorKind::NameActive => "name_active",
            ErrorKind::Refused => "refused",
            ErrorKind::NotFound => "not_found",
            ErrorKind::Failed => "failed",
            ErrorKind::Damaged => "damaged",
            ErrorKind::Canceled => "canceled",
            ErrorKind::Locked => "locked",
            ErrorKind::Busy => "busy",
            ErrorKind::OlderSchema => "older_schema",
            ErrorKind::NewerSchema => "newer_schema",
            ErrorKind::Leased => "leased",
            ErrorKind::SafeMode => "safe_mode",
            ErrorKind::NoSpace => "no_space",
            ErrorKind::Io => "io",
            ErrorKind::State => "state",
            ErrorKind::Engine => "engine",
            ErrorKind::Internal => "internal",
        }
    }

    pub fn exit(self) -> Exit {
        match self {
            ErrorKind::Usage
            | ErrorKind::InvalidWorkflow
            | ErrorKind::InvalidSettings
            | ErrorKind::Exists
            | ErrorKind::AmbiguousRun
            | ErrorKind::AmbiguousStep
            | ErrorKind::ScheduleExists
            | ErrorKind::NameActive
            | ErrorKind::Refused => Exit::Usage,
            ErrorKind::NotFound => Exit::NotFound,
            ErrorKind::Failed | ErrorKind::Damaged => Exit::Failed,
            ErrorKind::Canceled => Exit::Canceled,
            ErrorKind::Locked
            | ErrorKind::Busy
            | ErrorKind::OlderSchema
            | ErrorKind::NewerSchema
            | ErrorKind::Leased
            | ErrorKind::SafeMode => Exit::Locked,
            ErrorKind::NoSpace => Exit::Interrupted,
            ErrorKind::Io | ErrorKind::State | ErrorKind::Engine | ErrorKind::Internal => Exit::Internal,
        }
    }
}
