//! The memory of an engine.

pub(crate) mod attempts;
pub(crate) mod pending;
pub(crate) mod run;
pub(crate) mod runs;
