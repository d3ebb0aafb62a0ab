//! Cases of the engine benchmark.

use std::fmt;
use std::str::FromStr;

/// A case of `bench engine`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Case {
    /// A chain of no-op steps, each of which waits for the one before.
    Chain,
    /// Many no-op steps at once.
    Fanout,
    /// A chain of programs.
    Command,
    /// Time from the start of a process to its first step.
    Start,
    /// Cost of an engine without work.
    Idle,
    /// 100,000 steps: memory, and slowdown of the engine.
    Scale,
    /// A run with a million step rows in the database.
    Million,
}

/// Text that names no case.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a case")]
pub struct UnknownCase(String);

impl Case {
    pub const ALL: [Case; 7] =
        [Case::Chain, Case::Fanout, Case::Command, Case::Start, Case::Idle, Case::Scale, Case::Million];
    /// Names of the cases, in the order of [`Case::ALL`].
    pub const NAMES: [&str; 7] = ["chain", "fanout", "command", "start", "idle", "scale", "million"];

    /// Cases that run by default.
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
