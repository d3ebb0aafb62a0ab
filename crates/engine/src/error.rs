//! Errors that keep the engine from working. A failing step is not one of them.

use std::io;
use std::path::PathBuf;

use stepwell_artifact::ArtifactError;
use stepwell_base::failure::is_no_space;
use stepwell_base::ids::{RunId, StepId};
use stepwell_store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    #[error("cannot {action} `{}`", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot {action}")]
    System { action: &'static str, source: io::Error },
    /// Another engine may have started in its place.
    #[error("the state directory `{}` was removed while this engine ran", path.display())]
    StateRemoved { path: PathBuf },
    /// A writer other than the engine changed the tables.
    #[error("the state of run {run} is not what this engine has written: an event of it was refused as stale")]
    Diverged { run: RunId },
    /// The engine cannot do what the request asks for.
    #[error("run {run}: {why}")]
    Refused { run: RunId, why: String },
    #[error("there is no time zone `{name}`")]
    UnknownTimeZone { name: String },
    #[error("`{cron}` is not a cron expression: {why}")]
    InvalidCron { cron: String, why: String },
    /// `suspects` names the work that ran when the last engine died.
    #[error("safe mode: the engine died {crashes} times within a minute and got nothing done{suspects}")]
    CrashLoop { crashes: usize, suspects: String, run: Option<RunId> },
    /// This machine cannot send to a receiver; the receiver is not to blame.
    #[error("the webhook `{name}` cannot be used: {why}")]
    Webhook { name: String, why: String },
    #[error("run {run} cannot be read, and has processes of an earlier engine that cannot be ended: {pids:?}")]
    RunStillRunning { run: RunId, pids: Vec<u32> },
    /// A second start of the step could run it twice at once.
    #[error("step `{step}` of run {run} may still run elsewhere: {why}")]
    RunsElsewhere { run: RunId, step: StepId, why: String },
    /// A second start of the step could run it twice at once.
    #[error("step `{step}` of run {run} has processes of an earlier engine that cannot be ended: {pids:?}")]
    StillRunning { run: RunId, step: StepId, pids: Vec<u32> },
}

/// The error of a failpoint.
#[cfg(feature = "failpoints")]
impl From<io::Error> for EngineError {
    fn from(source: io::Error) -> EngineError {
        EngineError::System { action: "continue", source }
    }
}

impl EngineError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> EngineError {
        let path = path.into();
        move |source| EngineError::Io { action, path, source }
    }

    pub(crate) fn system(action: &'static str) -> impl FnOnce(io::Error) -> EngineError {
        move |source| EngineError::System { action, source }
    }

    /// Returns advice for a fix, if there is any.
    pub fn hint(&self) -> Option<String> {
        match self {
            EngineError::Store(error) => error.hint(),
            EngineError::Artifact(error) => Some(error.hint()),
            EngineError::Io { path, source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some(format!("make `{}` writable, or choose another `--state-dir`", path.display()))
            }
            EngineError::UnknownTimeZone { .. } => {
                Some("give a name of the IANA database, such as `Europe/Berlin` or `UTC`".to_owned())
            }
            EngineError::InvalidCron { .. } => {
                Some("minute, hour, day of the month, month, day of the week, such as `0 3 * * *`".to_owned())
            }
            EngineError::CrashLoop { run, .. } => {
                let run = run.map_or_else(|| "last".to_owned(), |run| run.to_string());
                Some(format!(
                    "look for the cause, then `stepwell resume {run} --force`, or `stepwell cancel {run}`; \
                      `crash_loop_limit = 0` in `stepwell.toml` turns safe mode off"
                ))
            }
            EngineError::RunsElsewhere { .. } => {
                Some("restore what stepwell.toml says about its executor, and try again".to_owned())
            }
            EngineError::StillRunning { pids, .. } if pids == &[0] => {
                Some("it runs on another system that does not answer: try again once it does".to_owned())
            }
            EngineError::StillRunning { .. } | EngineError::RunStillRunning { .. } => {
                Some("end them, or restart the machine".to_owned())
            }
            EngineError::StateRemoved { .. } => Some(
                "its steps were ended, and its runs are gone; stop `worker` and `serve` before you remove a state directory"
                    .to_owned(),
            ),
            EngineError::Diverged { .. } => Some("`stepwell db check` looks for damage".to_owned()),
            EngineError::Refused { run, .. } => Some(format!("`stepwell show {run}` shows its steps")),
            EngineError::Webhook { .. } => {
                Some("correct `[[webhook]]` in stepwell.toml, or set what it names".to_owned())
            }
            EngineError::Io { .. } | EngineError::System { .. } => None,
        }
    }

    /// Returns the bytes that must be free, if known.
    pub(crate) fn needed_bytes(&self) -> Option<u64> {
        match self {
            EngineError::Artifact(ArtifactError::NoSpace { needed, .. }) => *needed,
            _ => None,
        }
    }

    pub(crate) fn is_no_space(&self) -> bool {
        match self {
            EngineError::Store(StoreError::NoSpace { .. }) | EngineError::Artifact(ArtifactError::NoSpace { .. }) => {
                true
            }
            EngineError::Io { source, .. } | EngineError::System { source, .. } => is_no_space(source),
            _ => false,
        }
    }
}
