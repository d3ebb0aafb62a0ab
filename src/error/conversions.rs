//! Gives the errors of the crates below their kind and their hints.

use super::cli_error::CliError;
use super::kind::ErrorKind;
use super::report::Report;
use stepwell_artifact::ArtifactError;
use stepwell_base::failure::Failure;
use stepwell_bench::BenchError;
use stepwell_config::ConfigError;
use stepwell_engine::{EngineError, MaintenanceError};
use stepwell_http::IssueError;
use stepwell_remote::{JournalError, RemoteError};
use stepwell_store::StoreError;

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::NoState { .. }
            | StoreError::UnknownRun { .. }
            | StoreError::UnknownStep { .. }
            | StoreError::CheckpointGone { .. }
            | StoreError::UnknownSchedule { .. }
            | StoreError::NoBackup { .. }
            | StoreError::Pruned { .. } => ErrorKind::NotFound,
            StoreError::Exists { .. } => ErrorKind::Exists,
            StoreError::AmbiguousRun { .. } => ErrorKind::AmbiguousRun,
            StoreError::Kept { .. } => ErrorKind::Refused,
            StoreError::TooManyTags { .. } => ErrorKind::Usage,
            StoreError::AmbiguousStep { .. } => ErrorKind::AmbiguousStep,
            StoreError::ScheduleExists { .. } => ErrorKind::ScheduleExists,
            StoreError::NameActive { .. } => ErrorKind::NameActive,
            StoreError::Locked { .. } | StoreError::StaleEpoch { .. } => ErrorKind::Locked,
            StoreError::Busy { .. } => ErrorKind::Busy,
            StoreError::OlderSchema { .. } => ErrorKind::OlderSchema,
            StoreError::NewerSchema { .. } => ErrorKind::NewerSchema,
            StoreError::NoSpace { .. } => ErrorKind::NoSpace,
            StoreError::LostEvents { .. }
            | StoreError::LostCommits { .. }
            | StoreError::Damaged { .. }
            | StoreError::DamagedBackup { .. }
            | StoreError::UnfinishedRestore { .. }
            | StoreError::DamagedMetric { .. }
            | StoreError::DamagedSample { .. }
            | StoreError::Undecodable { .. }
            | StoreError::DamagedSpec { .. } => ErrorKind::Damaged,
            _ => ErrorKind::State,
        };
        let hint = error.hint();
        CliError::new(kind, error).hints(hint)
    }
}

impl From<EngineError> for CliError {
    fn from(error: EngineError) -> Self {
        let kind = match error {
            EngineError::Store(error) => return error.into(),
            EngineError::Artifact(error) => return error.into(),
            EngineError::CrashLoop { .. } => ErrorKind::SafeMode,
            EngineError::Webhook { .. } => ErrorKind::InvalidSettings,
            EngineError::UnknownTimeZone { .. } | EngineError::InvalidCron { .. } => ErrorKind::Usage,
            _ => ErrorKind::Engine,
        };
        let hint = error.hint();
        CliError::new(kind, error).hints(hint)
    }
}

impl From<IssueError> for CliError {
    fn from(error: IssueError) -> Self {
        match error {
            IssueError::Store(error) => error.into(),
            other => CliError::internal("make a token", other),
        }
    }
}

impl From<MaintenanceError> for CliError {
    fn from(error: MaintenanceError) -> Self {
        let kind = match error {
            MaintenanceError::Store(error) => return error.into(),
            MaintenanceError::Artifact(error) => return error.into(),
            MaintenanceError::Leased { .. } => ErrorKind::Leased,
            // The message describes the damage better than its source does.
            MaintenanceError::Unreadable { .. } => {
                return CliError::new(ErrorKind::Damaged, error.to_string()).hints(error.hint());
            }
            MaintenanceError::NotEnded { .. } | MaintenanceError::InUse { .. } | MaintenanceError::Refused { .. } => {
                ErrorKind::Refused
            }
            MaintenanceError::NoSuchValue { .. } => ErrorKind::Usage,
            MaintenanceError::Unanswered => ErrorKind::Busy,
            MaintenanceError::Unusable { .. } | MaintenanceError::Stopped => ErrorKind::Engine,
            MaintenanceError::Io { .. } | MaintenanceError::NoProvenance { .. } => ErrorKind::Engine,
        };
        let hint = error.hint();
        CliError::new(kind, error).hints(hint)
    }
}

impl From<RemoteError> for CliError {
    fn from(error: RemoteError) -> Self {
        let kind = match error {
            RemoteError::Journal(JournalError::Store(source)) => {
                return match source.downcast::<StoreError>() {
                    Ok(error) => (*error).into(),
                    Err(other) => CliError::new(ErrorKind::State, other),
                };
            }
            RemoteError::Expired { .. }
            | RemoteError::PriceChanged { .. }
            | RemoteError::NotProposed { .. }
            | RemoteError::Illegal { .. } => ErrorKind::Refused,
            RemoteError::Busy(_) | RemoteError::Journal(JournalError::Stale(_)) => ErrorKind::Busy,
            RemoteError::Lock { .. } | RemoteError::Journal(JournalError::Io(_)) => ErrorKind::Io,
            _ => ErrorKind::Failed,
        };
        let hint = error.hint();
        CliError::new(kind, error).hints(hint)
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        let report = match &error {
            ConfigError::File(problems) => Some(Report::Settings(problems.clone())),
            _ => None,
        };
        let hint = error.hint();
        let invalid = CliError::new(ErrorKind::InvalidSettings, error).hints(hint);
        match report {
            Some(report) => invalid.reported(report),
            None => invalid,
        }
    }
}

impl From<BenchError> for CliError {
    fn from(error: BenchError) -> Self {
        let kind = match error {
            BenchError::Store(error) => return error.into(),
            BenchError::Preset { .. } => ErrorKind::NotFound,
            BenchError::Missing { .. } | BenchError::Program { .. } | BenchError::NoRoom { .. } => ErrorKind::Usage,
            BenchError::Model(_) | BenchError::Inference(_) | BenchError::Gguf(_) => ErrorKind::Usage,
            #[cfg(feature = "train")]
            BenchError::Device(_) | BenchError::Shape(_) | BenchError::Plan(_) => ErrorKind::Usage,
            other => return CliError::internal("measure", other),
        };
        let hint = error.hint();
        CliError::new(kind, error).hints(hint)
    }
}

impl From<Failure> for CliError {
    fn from(mut failure: Failure) -> Self {
        let hint = failure.hint.take();
        CliError::failed(failure).hints(hint)
    }
}

impl From<ArtifactError> for CliError {
    fn from(error: ArtifactError) -> Self {
        Failure::from(error).into()
    }
}
