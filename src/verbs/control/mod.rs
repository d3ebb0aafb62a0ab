//! Verbs that steer a run that exists.

pub mod approve;
pub mod cancel;
pub mod fork;
pub mod pause;
pub mod rerun;
pub mod resume;
pub mod retry;
pub mod signal;
