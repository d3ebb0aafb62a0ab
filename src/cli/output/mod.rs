//! The two forms of standard output, and messages on standard error.

mod human;
mod json;

pub use human::{bytes, short_id, since, table};
pub use json::{SCHEMA, step_json};

use std::io::Write;

use serde_json::Value;

use super::error::CliError;
use crate::config::OutputFormat;

/// Where a verb writes. Progress and messages go to standard error and are silent with `--quiet`.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    pub form: OutputFormat,
    pub quiet: bool,
}

impl Output {
    pub fn is_json(self) -> bool {
        self.form == OutputFormat::Json
    }

    /// One document: `human` or, with `--output json`, `value` with the schema version in it.
    pub fn document(self, human: &str, value: Value) -> Result<(), CliError> {
        match self.form {
            OutputFormat::Human => self.line(human.trim_end_matches('\n')),
            OutputFormat::Json => self.line(&json::versioned(value).to_string()),
        }
    }

    /// A line of standard output. A reader that went away is no error.
    pub fn line(self, text: &str) -> Result<(), CliError> {
        let mut out = std::io::stdout().lock();
        match writeln!(out, "{text}").and_then(|()| out.flush()) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => Ok(other?),
        }
    }

    /// A message for people on standard error.
    pub fn message(self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }

    pub fn error(self, error: &CliError) {
        match self.form {
            OutputFormat::Json => eprintln!("{}", json::error(error)),
            OutputFormat::Human => {
                match &error.report {
                    Some(report) => eprintln!("{}", report.trim_end()),
                    None => eprintln!("error: {}", error.message),
                }
                if let Some(hint) = &error.hint {
                    eprintln!("hint: {hint}");
                }
            }
        }
    }
}
