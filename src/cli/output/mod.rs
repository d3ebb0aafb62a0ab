//! The two forms of standard output, and messages on standard error.

mod human;
mod json;
mod screen;
mod streams;

pub use human::{bytes, duration, short_id, shown_path, since, table};
pub use json::{SCHEMA, step_json};
pub use screen::Screen;
pub use streams::Printed;

use std::path::PathBuf;

use serde_json::Value;

use super::error::CliError;
use crate::config::OutputFormat;
use crate::core::shell;
use crate::core::visible::{visible, visible_styled};

/// Owns both streams. Text is made safe for a terminal here, and nowhere else. Progress and messages go to standard
/// error and are silent with `--quiet`.
#[derive(Clone, Debug)]
pub struct Output {
    pub form: OutputFormat,
    pub quiet: bool,
    /// The state directory, when a command has to name it to find it.
    pub state_dir: Option<PathBuf>,
}

impl Output {
    pub fn is_json(&self) -> bool {
        self.form == OutputFormat::Json
    }

    /// One document: `human` or, with `--output json`, `value` with the schema version in it.
    ///
    /// # Errors
    /// When standard output cannot take it. A reader that went away is no error.
    pub fn document(&self, human: &str, value: Value) -> Result<(), CliError> {
        match self.form {
            OutputFormat::Human => self.line(human.trim_end_matches('\n')),
            OutputFormat::Json => self.json_line(&json::versioned(value)).map(|_| ()),
        }
    }

    /// As [`Output::document`], but what a pipe or a file gets of `human` is the text as it is.
    ///
    /// # Errors
    /// As [`Output::document`].
    #[cfg(feature = "train")]
    pub fn content(&self, human: &str, value: Value) -> Result<(), CliError> {
        match self.form {
            OutputFormat::Human if !self.is_terminal() => self.raw(format!("{human}\n").as_bytes()).map(|_| ()),
            _ => self.document(human, value),
        }
    }

    /// As [`Output::document`], for what must go on whatever becomes of standard output.
    pub fn announce(&self, human: &str, value: Value) {
        if let Err(error) = self.document(human, value) {
            self.message(&format!("warning: {}", error.message));
        }
    }

    /// A line of standard output for people. A reader that went away is no error.
    ///
    /// # Errors
    /// When standard output cannot take it.
    pub fn line(&self, text: &str) -> Result<(), CliError> {
        self.stream(text).map(|_| ())
    }

    /// As [`Output::line`], for verbs that have no end of their own.
    ///
    /// # Errors
    /// When standard output cannot take it.
    pub fn stream(&self, text: &str) -> Result<Printed, CliError> {
        streams::print(format!("{}\n", visible(text)).as_bytes())
    }

    /// A line of JSON.
    ///
    /// # Errors
    /// When standard output cannot take it.
    pub fn json_line(&self, value: &Value) -> Result<Printed, CliError> {
        self.json_text(&value.to_string())
    }

    /// JSON that may have several lines.
    ///
    /// # Errors
    /// When standard output cannot take it.
    pub fn json_text(&self, json: &str) -> Result<Printed, CliError> {
        streams::print(format!("{}\n", json::visible(json)).as_bytes())
    }

    /// Bytes of a program, a file or a model, as they are.
    ///
    /// # Errors
    /// When standard output cannot take them.
    pub fn raw(&self, bytes: &[u8]) -> Result<Printed, CliError> {
        streams::print(bytes)
    }

    /// Standard output is a terminal.
    pub fn is_terminal(&self) -> bool {
        streams::stdout_is_terminal()
    }

    /// A message for people on standard error.
    pub fn message(&self, text: &str) {
        if !self.quiet {
            streams::tell(&visible(&self.pasteable(text)));
        }
    }

    /// An error, also with `--quiet`.
    pub fn error(&self, error: &CliError) {
        let hints: Vec<String> = error.hints.iter().map(|hint| self.pasteable(hint)).collect();
        match self.form {
            OutputFormat::Json => streams::tell(&json::visible(&json::error(error, &hints).to_string())),
            OutputFormat::Human => {
                match &error.report {
                    Some(report) => streams::tell(&visible_styled(report.trim_end())),
                    None => streams::tell(&visible(&format!("error: {}", error.message))),
                }
                for hint in hints {
                    streams::tell(&visible(&format!("hint: {hint}")));
                }
            }
        }
    }

    /// `text` with the state directory in each command that it suggests.
    pub fn pasteable(&self, text: &str) -> String {
        match &self.state_dir {
            Some(path) => shell::with_option(text, "--state-dir", path),
            None => text.to_owned(),
        }
    }
}
