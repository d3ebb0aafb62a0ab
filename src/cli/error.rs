//! What the user sees when a verb fails: message with cause chain, hint, stable code, exit code.

use std::error::Error;
use std::io::IsTerminal;

use super::exit_code::Exit;
use crate::artifact::ArtifactError;
use crate::config::{ColorChoice, ConfigError};
use crate::core::diagnostic::Color;
use crate::core::failure::Failure;
use crate::engine::EngineError;
use crate::store::StoreError;

#[derive(Debug)]
pub struct CliError {
    pub exit: Exit,
    /// Stable name for scripts, such as `not_found`.
    pub code: &'static str,
    pub message: String,
    pub hint: Option<String>,
    /// Already rendered for people, with source lines and carets; replaces the message there.
    pub report: Option<String>,
}

impl CliError {
    pub fn new(exit: Exit, code: &'static str, message: impl Into<String>) -> Self {
        CliError { exit, code, message: message.into(), hint: None, report: None }
    }

    pub fn usage(message: impl Into<String>) -> Self {
        CliError::new(Exit::Usage, "usage", message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        CliError::new(Exit::NotFound, "not_found", message)
    }

    pub fn failed(message: impl Into<String>) -> Self {
        CliError::new(Exit::Failed, "failed", message)
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// An unexpected failure of `action`, with the causes of `error`.
    pub fn internal(action: &str, error: &dyn Error) -> Self {
        CliError::new(Exit::Internal, "internal", format!("cannot {action}: {}", chain(error)))
    }
}

/// Columns of a report with source lines.
pub const REPORT_WIDTH: usize = 110;

/// Whether reports on standard error have colours.
pub fn color(choice: ColorChoice) -> Color {
    let plain = std::env::var_os("NO_COLOR").is_some() || !std::io::stderr().is_terminal();
    match choice {
        ColorChoice::Always => Color::Ansi,
        ColorChoice::Auto if !plain => Color::Ansi,
        ColorChoice::Auto | ColorChoice::Never => Color::Plain,
    }
}

/// `error` and its sources, outermost first.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        let (exit, code) = match &error {
            StoreError::NoState { .. }
            | StoreError::UnknownRun { .. }
            | StoreError::UnknownStep { .. }
            | StoreError::CheckpointGone { .. }
            | StoreError::UnknownSchedule { .. }
            | StoreError::NoBackup { .. }
            | StoreError::Pruned { .. } => (Exit::NotFound, "not_found"),
            StoreError::Exists { .. } => (Exit::Usage, "exists"),
            StoreError::AmbiguousRun { .. } => (Exit::Usage, "ambiguous_run"),
            StoreError::ScheduleExists { .. } => (Exit::Usage, "schedule_exists"),
            StoreError::NameActive { .. } => (Exit::Usage, "name_active"),
            StoreError::Locked { .. } | StoreError::StaleEpoch { .. } => (Exit::Locked, "locked"),
            StoreError::NewerSchema { .. } => (Exit::Locked, "newer_schema"),
            StoreError::NoSpace { .. } => (Exit::Interrupted, "no_space"),
            StoreError::LostEvents { .. }
            | StoreError::LostCommits { .. }
            | StoreError::Damaged { .. }
            | StoreError::DamagedBackup { .. }
            | StoreError::UnfinishedRestore { .. }
            | StoreError::DamagedMetric { .. }
            | StoreError::DamagedSpec { .. } => (Exit::Failed, "damaged"),
            _ => (Exit::Internal, "state"),
        };
        let hint = error.hint();
        CliError { hint, ..CliError::new(exit, code, chain(&error)) }
    }
}

impl From<EngineError> for CliError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Store(error) => error.into(),
            EngineError::Artifact(error) => error.into(),
            leased @ EngineError::Leased { .. } => {
                CliError { hint: leased.hint(), ..CliError::new(Exit::Locked, "leased", chain(&leased)) }
            }
            loops @ EngineError::CrashLoop { .. } => {
                CliError { hint: loops.hint(), ..CliError::new(Exit::Locked, "safe_mode", loops.to_string()) }
            }
            unreadable @ EngineError::Unreadable { .. } => {
                CliError { hint: unreadable.hint(), ..CliError::new(Exit::Failed, "damaged", unreadable.to_string()) }
            }
            other => {
                let hint = other.hint();
                let (exit, code) = match other {
                    EngineError::UnknownTimeZone { .. } | EngineError::InvalidCron { .. } => (Exit::Usage, "usage"),
                    _ => (Exit::Internal, "engine"),
                };
                CliError { hint, ..CliError::new(exit, code, chain(&other)) }
            }
        }
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        let hint = error.hint();
        let report = match &error {
            ConfigError::File(problems) => Some(problems.render(color(ColorChoice::Auto), REPORT_WIDTH)),
            _ => None,
        };
        CliError { hint, report, ..CliError::new(Exit::Usage, "invalid_settings", chain(&error)) }
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        CliError::internal("write output", &error)
    }
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> Self {
        let error = CliError::failed(failure.message);
        match failure.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

impl From<ArtifactError> for CliError {
    fn from(error: ArtifactError) -> Self {
        Failure::from(error).into()
    }
}
