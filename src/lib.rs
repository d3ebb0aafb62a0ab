//! The command line, one file per verb. Data goes to standard output, everything else to standard error.
//!
//! Start reading at `run.rs`, which submits a run; `stepwell_engine` drives it; `stepwell_store` commits it.

mod again;
mod approve;
mod args;
mod artifact;
mod bench;
#[cfg(feature = "train")]
mod bench_peers;
#[cfg(feature = "train")]
mod bench_train;
mod cancel;
mod chaos;
mod command_line;
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
mod exporter;
mod foreground;
mod fork;
mod gc;
#[cfg(feature = "train")]
mod generate;
mod go_on;
mod list;
mod logs;
mod look_ahead;
#[cfg(feature = "train")]
mod model;
mod output;
mod pause;
mod progress;
mod provenance;
mod report;
mod rerun;
mod resume;
mod retry;
mod run;
mod schedule;
mod session;
mod show;
mod signal;
mod smoke_test;
mod start_training;
mod trial;
mod verify;
mod watch;
mod worked;
mod worker;
mod workflow;
mod workflow_source;

pub use args::Cli;
pub use dispatch::main;
pub use exit_code::Exit;
