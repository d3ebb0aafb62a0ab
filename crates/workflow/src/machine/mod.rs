//! What the settings of a machine name outside of it.

pub mod executor;
pub mod webhook;
