//! The error that a verb returns: a kind, the error itself with its sources, and hints.

use std::error::Error;
use std::io;
use std::path::Path;

use serde_json::Value;

use super::kind::ErrorKind;
use super::report::Report;
use stepwell_base::error_chain::error_chain;
use stepwell_base::failure::is_no_space;
use stepwell_workflow::diagnostic::Color;

#[derive(Debug)]
pub struct CliError {
    pub kind: ErrorKind,
    error: Box<dyn Error + Send + Sync>,
    /// Each is a line of its own.
    pub hints: Vec<String>,
    report: Option<Box<Report>>,
}

/// A failed action and its cause.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action}")]
struct Refused {
    action: String,
    source: Box<dyn Error + Send + Sync>,
}

impl CliError {
    /// An error of this program or of one of its crates; a text is an error without sources.
    pub fn new(kind: ErrorKind, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        CliError { kind, error: error.into(), hints: Vec::new(), report: None }
    }

    pub fn usage(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        CliError::new(ErrorKind::Usage, error)
    }

    pub fn not_found(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        CliError::new(ErrorKind::NotFound, error)
    }

    pub fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        CliError::new(ErrorKind::Failed, error)
    }

    /// `action` failed, although nothing about it is the fault of the user.
    pub fn internal(action: &str, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        CliError::new(ErrorKind::Internal, Refused { action: action.to_owned(), source: error.into() })
    }

    /// The system refused `action` on `path`.
    pub fn io(action: &str, path: &Path, error: io::Error) -> Self {
        let full = is_no_space(&error);
        let kind = if full { ErrorKind::NoSpace } else { ErrorKind::Io };
        let action = format!("{action} `{}`", path.display());
        let refused = CliError::new(kind, Refused { action, source: Box::new(error) });
        if full { refused.hint("free some space on that disk, then try again") } else { refused }
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

    /// Adds a report for people, which replaces the message.
    pub fn reported(mut self, report: Report) -> Self {
        self.report = Some(Box::new(report));
        self
    }

    /// The error and its causes on one line.
    pub fn message(&self) -> String {
        error_chain(&*self.error)
    }

    /// The report for people, with source lines and carets; most errors have none.
    pub fn report(&self, color: Color) -> Option<String> {
        Some(self.report.as_ref()?.render(color))
    }

    /// The problems of a workflow file, for scripts.
    pub fn problems(&self) -> Option<Value> {
        self.report.as_ref()?.problems()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_stays_an_error_up_to_the_last_line() {
        let error = CliError::io("read", Path::new("w.toml"), io::Error::from_raw_os_error(13));
        assert_eq!((error.kind.code(), error.kind.exit() as u8), ("io", 1));
        assert_eq!(error.message(), "cannot read `w.toml`: Permission denied (os error 13)");
        let source = error.error.source().and_then(|source| source.downcast_ref::<io::Error>());
        assert_eq!(source.unwrap().raw_os_error(), Some(13));
    }

    #[test]
    fn a_full_disk_is_no_internal_error() {
        let error = CliError::io("write", Path::new("x"), io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!((error.kind, error.hints.len()), (ErrorKind::NoSpace, 1));
    }
}
