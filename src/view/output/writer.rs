//! Owns both streams: documents for people or scripts on standard output, messages on standard error.

use std::path::{Path, PathBuf};

use indicatif::MultiProgress;
use serde_json::{Value, json as object};

use super::json;
use super::run_names::with_names;
use super::streams::{self, Printed};
use crate::error::CliError;
use crate::view::logs::LogLine;
use stepwell_base::shell;
use stepwell_base::visible::{visible, visible_line, visible_styled};
use stepwell_config::{ColorChoice, OutputFormat};
use stepwell_workflow::diagnostic::Color;

/// Columns of a drawing that goes to a file or a pipe.
const COLUMNS: usize = 84;
/// A wider curve is not easier to read.
const MOST_COLUMNS: usize = 120;

/// The only owner of both streams; it also makes text safe for a terminal. Progress and messages go to standard error
/// and are silent with `--quiet`.
#[derive(Clone, Debug)]
pub struct Output {
    form: OutputFormat,
    quiet: bool,
    color: ColorChoice,
    /// The state directory, if suggested commands must name it.
    state_dir: Option<PathBuf>,
    /// The state directory whose runs are called by their names.
    runs: Option<PathBuf>,
}

impl Output {
    pub fn new(form: OutputFormat, quiet: bool, color: ColorChoice, state_dir: Option<PathBuf>) -> Self {
        let runs = state_dir.clone();
        Output { form, quiet, color, state_dir, runs }
    }

    /// Calls the runs of this state directory by their names.
    pub fn naming_runs_of(self, state_dir: &Path) -> Self {
        Output { runs: Some(state_dir.to_owned()), ..self }
    }

    /// For errors that come before the settings are known.
    pub fn plain(form: OutputFormat) -> Self {
        Output::new(form, false, ColorChoice::Auto, None)
    }

    /// The same form of output, without messages.
    pub fn silent(&self) -> Output {
        Output { quiet: true, ..self.clone() }
    }

    pub fn is_json(&self) -> bool {
        self.form == OutputFormat::Json
    }

    /// Prints one document: `human` or, with `--output json`, `value` with the schema version added.
    ///
    /// # Errors
    /// `Exit::Internal` when standard output cannot be written; a reader that has gone away is not an error. The other
    /// printing methods that return a result fail in the same way.
    pub fn document(&self, human: &str, value: Value) -> Result<(), CliError> {
        match self.form {
            OutputFormat::Human => self.line(human.trim_end_matches('\n')),
            OutputFormat::Json => self.json_line(&json::versioned(value)).map(|_| ()),
        }
    }

    /// Like [`Output::document`], but a pipe or a file receives `human` unescaped.
    #[cfg(feature = "train")]
    pub fn content(&self, human: &str, value: Value) -> Result<(), CliError> {
        match self.form {
            OutputFormat::Human if !self.is_terminal() => self.raw(format!("{human}\n").as_bytes()).map(|_| ()),
            _ => self.document(human, value),
        }
    }

    /// Like [`Output::document`], for commands that continue even if standard output fails.
    pub fn announce(&self, human: &str, value: Value) {
        if let Err(error) = self.document(human, value) {
            self.message(&format!("warning: {}", error.message()));
        }
    }

    /// Prints a line for people. A reader that has gone away is not an error.
    pub fn line(&self, text: &str) -> Result<(), CliError> {
        self.stream(text).map(|_| ())
    }

    /// Like [`Output::line`], for verbs that run until they are stopped.
    pub fn stream(&self, text: &str) -> Result<Printed, CliError> {
        streams::print(format!("{}\n", visible(text)).as_bytes())
    }

    /// Prints a part of a text, escaped for a terminal and as it is for a pipe.
    ///
    /// # Errors
    /// Also when nobody reads any more.
    pub fn piece(&self, text: &str) -> Result<(), CliError> {
        let shown = if self.is_terminal() { visible(text) } else { text.into() };
        match streams::print(shown.as_bytes())? {
            Printed::Written => Ok(()),
            Printed::ReaderGone => Err(CliError::failed("nobody reads the answer")),
        }
    }

    /// Prints a line of JSON.
    pub fn json_line(&self, value: &Value) -> Result<Printed, CliError> {
        self.json_text(&value.to_string())
    }

    /// Prints JSON that may have several lines.
    pub fn json_text(&self, json: &str) -> Result<Printed, CliError> {
        streams::print(format!("{}\n", json::visible(json)).as_bytes())
    }

    /// Prints bytes of a program, a file or a model unchanged.
    pub fn raw(&self, bytes: &[u8]) -> Result<Printed, CliError> {
        streams::print(bytes)
    }

    pub fn is_terminal(&self) -> bool {
        streams::stdout_is_terminal()
    }

    /// Columns for a drawing: those of the terminal, within limits, or a fixed number.
    pub fn columns(&self) -> usize {
        streams::stdout_columns().map_or(COLUMNS, |columns| columns.min(MOST_COLUMNS))
    }

    /// True if the locale says that UTF-8 is understood.
    pub fn has_unicode(&self) -> bool {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(|name| std::env::var(name).ok());
        let locale = locale.into_iter().find(|locale| !locale.is_empty()).unwrap_or_default().to_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    }

    /// Colours of help and other text on standard output.
    pub fn document_color(&self) -> Color {
        color(ColorChoice::Auto, streams::stdout_is_terminal())
    }

    /// Bars above which messages appear; `None` where bars would be noise.
    pub fn progress_bars(&self) -> Option<MultiProgress> {
        let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb") || std::env::var_os("CI").is_some();
        let wanted = streams::stderr_is_terminal() && !dumb && !self.quiet && !self.is_json();
        wanted.then(MultiProgress::new)
    }

    /// Prints a message for people on standard error.
    pub fn message(&self, text: &str) {
        if !self.quiet {
            streams::tell(&visible(&self.pasteable(text)));
        }
    }

    /// Prints a line of a running command: on standard error for people, on standard output as JSON.
    pub fn log_line(&self, LogLine { run, step, attempt, prefix, text }: &LogLine<'_>) {
        match self.form {
            OutputFormat::Json => {
                let line = object!({ "type": "log", "run": run, "step": step, "attempt": attempt, "line": text });
                // A reader that has gone away must not stop the run.
                let _ = self.json_line(&json::versioned(line));
            }
            OutputFormat::Human if self.quiet => {}
            OutputFormat::Human => streams::tell(&visible_line(&format!("{prefix}{text}"))),
        }
    }

    /// Prints an error, even with `--quiet`.
    pub fn error(&self, error: &CliError) {
        let hints: Vec<String> = error.hints.iter().map(|hint| self.pasteable(hint)).collect();
        match self.form {
            OutputFormat::Json => streams::tell(&json::visible(&json::error(error, &hints).to_string())),
            OutputFormat::Human => {
                match error.report(color(self.color, streams::stderr_is_terminal())) {
                    Some(report) => streams::tell(&visible_styled(report.trim_end())),
                    None => streams::tell(&visible(&format!("error: {}", self.pasteable(&error.message())))),
                }
                for hint in hints {
                    streams::tell(&visible(&format!("hint: {hint}")));
                }
            }
        }
    }

    /// Adds the state directory to each command that `text` suggests, and calls runs by their names.
    pub fn pasteable(&self, text: &str) -> String {
        let text = self.runs.as_ref().map_or_else(|| text.to_owned(), |runs| with_names(text, runs));
        match &self.state_dir {
            Some(path) => shell::with_option(&text, "--state-dir", path),
            None => text,
        }
    }
}

fn color(choice: ColorChoice, is_terminal: bool) -> Color {
    match choice {
        ColorChoice::Always => Color::Ansi,
        ColorChoice::Auto if is_terminal && std::env::var_os("NO_COLOR").is_none() => Color::Ansi,
        ColorChoice::Auto | ColorChoice::Never => Color::Plain,
    }
}
