//! What can be measured.

use std::fmt;
use std::str::FromStr;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Case {
    /// A chain of no-op steps: each waits for the one before.
    Chain,
    /// Many no-op steps at a time.
    Fanout,
    /// A chain of programs.
    Command,
    /// From the start of a process to its first step.
    Start,
    /// What an engine without work costs.
    Idle,
    /// 100,000 steps: memory, and whether the engine slows down.
    Scale,
    /// A run of a million steps in the tables.
    Million,
}

/// The text is not the name of a case.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a case")]
pub struct UnknownCase(String);

impl Case {
    pub const ALL: [Case; 7] =
        [Case::Chain, Case::Fanout, Case::Command, Case::Start, Case::Idle, Case::Scale, Case::Million];
    pub const NAMES: [&str; 7] = ["chain", "fanout", "command", "start", "idle", "scale", "million"];

    /// Those that run when nobody chooses.
    pub const USUAL: [Case; 5] = [Case::Chain, Case::Fanout, Case::Command, Case::Start, Case::Idle];
}

impl FromStr for Case {
    type Err = UnknownCase;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Case::NAMES.iter().position(|name| *name == text).map(|i| Case::ALL[i]);
        found.ok_or_else(|| UnknownCase(text.to_owned()))
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Case::ALL.iter().position(|case| case == self).map_or("", |i| Case::NAMES[i]);
        f.write_str(name)
    }
}
