//! Folders of phases, in the order of their numbers.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::CliError;

pub(super) const PLAN: &str = "PLAN.md";
pub(super) const LOG: &str = "run.log";
pub(super) const RESULTS: &str = "RESULTS.md";
/// Entries of the folder of all phases that are looked at.
const MOST: usize = 10_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PhaseState {
    /// Planned only.
    Pending,
    /// Runs have written into it.
    Active,
    /// It has results.
    Complete,
}

impl PhaseState {
    pub fn as_str(self) -> &'static str {
        match self {
            PhaseState::Pending => "pending",
            PhaseState::Active => "active",
            PhaseState::Complete => "complete",
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Phase {
    /// First number in its name; phases without one come last.
    pub number: Option<u64>,
    pub name: String,
    pub path: PathBuf,
    pub state: PhaseState,
}

impl Phase {
    /// The phase in a folder that has a plan.
    ///
    /// # Errors
    /// `NotFound` without a plan.
    pub fn open(path: &Path) -> Result<Phase, CliError> {
        let absolute = path.canonicalize().map_err(|error| CliError::io("find the phase", path, error))?;
        Phase::found(&absolute).ok_or_else(|| {
            CliError::not_found(format!("`{}` is no phase: it has no `{PLAN}`", path.display()))
                .hint("write down there what the phase is meant to show, then try again")
        })
    }

    fn found(path: &Path) -> Option<Phase> {
        let name = path.file_name()?.to_string_lossy().into_owned();
        let has = |file: &str| path.join(file).is_file();
        let state = match (has(PLAN), has(LOG), has(RESULTS)) {
            (false, ..) => return None,
            (_, _, true) => PhaseState::Complete,
            (_, true, _) => PhaseState::Active,
            _ => PhaseState::Pending,
        };
        Some(Phase { number: number(&name), name, path: path.to_owned(), state })
    }
}

/// The first number in a name: 2 of `phase-2-baseline`.
fn number(name: &str) -> Option<u64> {
    let digits = name.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}

/// The phases in `root`: folders with a plan, 2 before 10.
///
/// # Errors
/// When the folder cannot be read.
pub fn discover(root: &Path) -> Result<Vec<Phase>, CliError> {
    let failed = |error| CliError::io("read the folder of phases", root, error);
    let mut phases = Vec::new();
    for (seen, entry) in fs::read_dir(root).map_err(failed)?.enumerate() {
        if seen >= MOST {
            return Err(CliError::failed(format!("`{}` has more than {MOST} entries", root.display()))
                .hint("name the folder that holds the phases"));
        }
        phases.extend(Phase::found(&entry.map_err(failed)?.path()));
    }
    phases.sort_by(|a, b| {
        let key = |phase: &Phase| (phase.number.is_none(), phase.number);
        key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
    });
    Ok(phases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_in_the_order_of_their_numbers() {
        let root = tempfile::tempdir().unwrap();
        for (name, files) in [
            ("phase-10-scale", &[PLAN][..]),
            ("phase-2-baseline", &[PLAN, LOG, RESULTS]),
            ("3_ablation", &[PLAN, LOG]),
            ("notes", &[PLAN]),
            ("04-nothing", &[LOG]),
        ] {
            fs::create_dir(root.path().join(name)).unwrap();
            for file in files {
                fs::write(root.path().join(name).join(file), "x").unwrap();
            }
        }
        let found = discover(root.path()).unwrap();
        let shown: Vec<(&str, &str)> = found.iter().map(|phase| (phase.name.as_str(), phase.state.as_str())).collect();
        let expected = [
            ("phase-2-baseline", "complete"),
            ("3_ablation", "active"),
            ("phase-10-scale", "pending"),
            ("notes", "pending"),
        ];
        assert_eq!(shown, expected);
        assert!(Phase::open(&root.path().join("04-nothing")).is_err());
        assert_eq!(number("99999999999999999999999"), None);
    }
}
