//! The error that a verb returns to the user: message with cause chain, hints, stable code, exit code.

use std::error::Error;
use std::io::{self, IsTerminal};
use std::path::Path;

use serde_json::Value;

use super::exit_code::Exit;
use stepwell_artifact::ArtifactError;
use stepwell_base::failure::{Failure, is_no_space};
use stepwell_config::{ColorChoice, ConfigError};
use stepwell_engine::EngineError;
use stepwell_store::StoreError;
use stepwell_workflow::diagnostic::Color;

#[derive(Debug)]
pub struct CliError {
    pub exit: Exit,
    /// Stable name for scripts, such as `not_found`.
    pub code: &'static str,
    pub message: String,
    pub hints: Vec<String>,
    /// Text rendered for people, with source lines and carets; replaces the message in human output.
    pub report: Option<String>,
    /// Problems of a workflow file, for scripts.
    pub problems: Option<Box<Value>>,
}

impl CliError {
    pub fn new(exit: Exit, code: &'static str, message: impl Into<String>) -> Self {
        CliError { exit, code, message: message.into(), hints: Vec::new(), report: None, problems: None }
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

    /// Adds a hint; each hint becomes its own line.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    pub fn hints(mut self, hints: impl IntoIterator<Item = String>) -> Self {
        self.hints.extend(hints);
        self
    }

    /// The system refused `action` on `path`.
    pub fn io(action: &str, path: &Path, error: &io::Error) -> Self {
        let full = is_no_space(error);
        let (exit, code) = if full { (Exit::Interrupted, "no_space") } else { (Exit::Internal, "io") };
        let refused = CliError::new(exit, code, format!("cannot {action} `{}`: {error}", path.display()));
        if full { refused.hint("free some space on that disk, then try again") } else { refused }
    }

    /// An unexpected failure of `action`, with the causes of `error`.
    pub fn internal(action: &str, error: &dyn Error) -> Self {
        CliError::new(Exit::Internal, "internal", format!("cannot {action}: {}", chain(error)))
    }
}

/// Width in columns of a report with source lines.
pub const REPORT_WIDTH: usize = 110;

/// Decides between colours and plain text for reports on standard error.
pub fn color(choice: ColorChoice) -> Color {
    let plain = std::env::var_os("NO_COLOR").is_some() || !io::stderr().is_terminal();
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
        let why = cause.to_string();
        // Some messages already quote their cause.
        if !text.ends_with(&why) {
            text.push_str(": ");
            text.push_str(&why);
        }
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
            StoreError::Busy { .. } => (Exit::Locked, "busy"),
            StoreError::OlderSchema { .. } => (Exit::Locked, "older_schema"),
            StoreError::NewerSchema { .. } => (Exit::Locked, "newer_schema"),
            StoreError::NoSpace { .. } => (Exit::Interrupted, "no_space"),
            StoreError::LostEvents { .. }
            | StoreError::LostCommits { .. }
            | StoreError::Damaged { .. }
            | StoreError::DamagedBackup { .. }
            | StoreError::UnfinishedRestore { .. }
            | StoreError::DamagedMetric { .. }
            | StoreError::Undecodable { .. }
            | StoreError::DamagedSpec { .. } => (Exit::Failed, "damaged"),
            _ => (Exit::Internal, "state"),
        };
        CliError::new(exit, code, chain(&error)).hints(error.hint())
    }
}

impl From<EngineError> for CliError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Store(error) => error.into(),
            EngineError::Artifact(error) => error.into(),
            leased @ EngineError::Leased { .. } => {
                CliError::new(Exit::Locked, "leased", chain(&leased)).hints(leased.hint())
            }
            loops @ EngineError::CrashLoop { .. } => {
                CliError::new(Exit::Locked, "safe_mode", loops.to_string()).hints(loops.hint())
            }
            unreadable @ EngineError::Unreadable { .. } => {
                CliError::new(Exit::Failed, "damaged", unreadable.to_string()).hints(unreadable.hint())
            }
            other => {
                let (exit, code) = match other {
                    EngineError::UnknownTimeZone { .. } | EngineError::InvalidCron { .. } => (Exit::Usage, "usage"),
                    _ => (Exit::Internal, "engine"),
                };
                CliError::new(exit, code, chain(&other)).hints(other.hint())
            }
        }
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        let report = match &error {
            ConfigError::File(problems) => Some(problems.render(color(ColorChoice::Auto), REPORT_WIDTH)),
            _ => None,
        };
        CliError { report, ..CliError::new(Exit::Usage, "invalid_settings", chain(&error)).hints(error.hint()) }
    }
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> Self {
        CliError::failed(failure.to_string()).hints(failure.hint)
    }
}

impl From<ArtifactError> for CliError {
    fn from(error: ArtifactError) -> Self {
        Failure::from(error).into()
    }
}
