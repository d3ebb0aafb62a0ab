//! Command line: one file per verb. Data goes to standard output, everything else to standard error.

mod args;
mod artifact;
mod cancel;
mod completions;
mod config;
mod db;
mod dispatch;
mod doctor;
mod effort;
mod error;
mod exit_code;
mod explain;
mod explain_limits;
mod export_folder;
mod foreground;
#[cfg(feature = "train")]
mod generate;
mod list;
mod logs;
#[cfg(feature = "train")]
mod model;
mod output;
mod progress;
mod report;
mod resume;
mod run;
mod schedule;
mod session;
mod show;
mod smoke_test;
mod start_training;
mod watch;
mod worker;
mod workflow;
mod workflow_source;

pub use args::Cli;
pub use dispatch::main;
pub use exit_code::Exit;
