//! Findings of a check.

use std::path::Path;

use crate::layout::BACKUPS_DIR;

/// One finding of `check`, described for a person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    pub what: String,
    pub hint: String,
}

pub(super) struct Findings {
    pub(super) problems: Vec<Problem>,
    backups: String,
}

impl Findings {
    pub(super) fn new(state_dir: &Path) -> Findings {
        Findings { problems: Vec::new(), backups: state_dir.join(BACKUPS_DIR).display().to_string() }
    }

    pub(super) fn add(&mut self, what: impl Into<String>) {
        let hint = format!(
            "restore the database from a backup with `stepwell db restore BACKUP` (migrations leave some in `{}`)",
            self.backups
        );
        self.problems.push(Problem { what: what.into(), hint });
    }
}
