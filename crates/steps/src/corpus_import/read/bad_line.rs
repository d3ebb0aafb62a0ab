//! Describes a bad line and builds the failure for it.

use stepwell_base::failure::Failure;

/// A line, or a value of a JSON file, without usable text.
#[derive(Debug)]
pub struct BadLine {
    /// `FILE:LINE`.
    pub place: String,
    pub what: String,
    pub hint: String,
}

impl BadLine {
    pub fn shown(&self) -> String {
        format!("{}: {}", self.place, self.what)
    }

    /// Failure if bad lines are not allowed.
    pub fn refusal(self) -> Failure {
        Failure::fatal(self.shown()).with_hint(self.hint)
    }

    /// Failure if `on_bad_line` could skip the line.
    pub fn refusal_with_skip(self) -> Failure {
        Failure::fatal(self.shown()).with_hint(format!(
            "{}; or set `on_bad_line = \"skip\"` to pass over such lines and count them (with the workflow `pretrain`: \
             `-S on_bad_line=skip`)",
            self.hint
        ))
    }
}
