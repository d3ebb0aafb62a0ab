//! Verbs that start runs.

pub mod run;
pub mod schedule;
pub mod start_training;
pub mod worker;
