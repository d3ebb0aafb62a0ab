//! Verbs that look at runs, and at what runs are made of and produced.

pub mod artifact;

pub mod checkpoints;
pub mod compare;
pub mod data;
pub mod explain;
#[cfg(feature = "train")]
pub mod generate;
pub mod list;
pub mod logs;
pub mod metrics;
pub mod model;
pub mod report;
pub mod samples;
pub mod show;
pub mod watch;
pub mod workflow;
