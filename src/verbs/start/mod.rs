//! Verbs that start runs.

pub mod run;
pub mod schedule;
pub mod serve;
pub mod start_training;
pub mod token;
pub mod webhook;
pub mod worker;
