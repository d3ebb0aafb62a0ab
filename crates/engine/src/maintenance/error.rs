//! Errors of maintenance.

use std::io;
use std::path::PathBuf;

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
    #[error("the provenance of {what} is not known: {reason}")]
    NoProvenance { what: String, reason: String },
}

impl MaintenanceError {
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> MaintenanceError {
        let path = path.into();
        move |source| MaintenanceError::Io { action, path, source }
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
            MaintenanceError::NoProvenance { .. } => {
                Some("`stepwell artifact ls RUN` lists the outputs of a run".to_owned())
            }
        }
    }
}
