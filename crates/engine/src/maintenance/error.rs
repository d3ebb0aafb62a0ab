//! Errors of maintenance.

use std::io;
use std::path::{Path, PathBuf};

use stepwell_artifact::ArtifactError;
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::shell::stepwell;
use stepwell_run::status::RunStatus;
use stepwell_store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    #[error("cannot {action} `{}`", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// The engine that started the attempt has died, and no engine has proved the attempt dead.
    #[error("step `{step}` of run {run} is leased to an attempt of an engine that died")]
    Leased { run: RunId, step: StepId },
    #[error("run {run} is {status}: only ended runs can be removed")]
    NotEnded { run: RunId, status: RunStatus },
    #[error("run {run} is still needed: its parent run has not ended, or a request about it has no answer yet")]
    InUse { run: RunId },
    #[error("{holder} cannot be read: {}", source.what())]
    Unreadable { holder: String, source: ArtifactError },
    /// No run has the value by which a rule compares runs.
    #[error("no ended run has a number `{by}`")]
    NoSuchValue { by: String },
    /// The engine has refused what was asked for, or could not do it.
    #[error("{why}")]
    Refused { why: String, hint: Option<String> },
    #[error("the engine that holds the state directory has not started the clean-up yet")]
    Unanswered,
    #[error("the request for a clean-up `{}` cannot be read: {why}", path.display())]
    Unusable { path: PathBuf, why: String },
    /// The engine ends; another one continues.
    #[error("the engine ends")]
    Stopped,
    #[error("the provenance of {what} is not known: {reason}")]
    NoProvenance { what: String, reason: String },
}

impl MaintenanceError {
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> MaintenanceError {
        let path = path.into();
        move |source| MaintenanceError::Io { action, path, source }
    }

    pub(super) fn unusable(path: &Path, why: &str) -> MaintenanceError {
        MaintenanceError::Unusable { path: path.to_owned(), why: why.to_owned() }
    }

    /// Returns advice for a fix, if there is any.
    pub fn hint(&self) -> Option<String> {
        match self {
            MaintenanceError::Store(error) => error.hint(),
            MaintenanceError::Artifact(error) => Some(error.hint()),
            MaintenanceError::Io { path, source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some(format!("make `{}` writable, or choose another `--state-dir`", path.display()))
            }
            MaintenanceError::Io { .. } => None,
            MaintenanceError::Leased { run, .. } => {
                Some(format!("end it with `stepwell resume {run}` or `stepwell cancel {run}`"))
            }
            MaintenanceError::NotEnded { run, .. } => {
                Some(format!("end it first: {}", stepwell("cancel", [&*run.to_string()])))
            }
            MaintenanceError::InUse { .. } => Some("remove it after its parent run has ended".to_owned()),
            MaintenanceError::Unreadable { source, .. } => Some(source.hint()),
            MaintenanceError::NoSuchValue { .. } => Some(
                "name a value as STEP.VALUE, such as `eval.bits_per_byte`: `stepwell show` lists those of a run"
                    .to_owned(),
            ),
            MaintenanceError::Refused { hint, .. } => hint.clone(),
            MaintenanceError::Unanswered => {
                Some("it does it when it gets to it; `stepwell list` shows which runs are left".to_owned())
            }
            MaintenanceError::Unusable { path, .. } => Some(format!("remove `{}`, and ask again", path.display())),
            MaintenanceError::Stopped => None,
            MaintenanceError::NoProvenance { .. } => {
                Some("`stepwell artifact ls RUN` lists the outputs of a run".to_owned())
            }
        }
    }
}
