//! The command line. Data goes to standard output, everything else to standard error.
//!
//! Start reading at `verbs`, one file per verb: `verbs/start/run.rs` loads a workflow, `drive/submission.rs` submits the run,
//! `drive/foreground.rs` drives it with `stepwell_engine`, and `view/` shows it.

mod arguments;
mod command_line;
mod dispatch;
mod drive;
mod error;
mod exit_code;
mod guess;
mod log;
mod serve;
mod session;
mod tensorboard;
#[cfg(test)]
mod tests;
mod verbs;
mod view;

pub use command_line::Cli;
pub use dispatch::main;
pub use exit_code::Exit;
