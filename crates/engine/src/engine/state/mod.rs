//! State of an engine in memory.

pub(crate) mod attempts;
pub(crate) mod pending;
pub(crate) mod run;
pub(crate) mod runs;
