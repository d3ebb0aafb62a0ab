//! `command`: any program as a step. The protocol for programs is in `specs/command-protocol.md`.

mod arguments;
mod checkpoint;
mod environment;
mod handler;
mod inputs;
mod job;
mod launcher;
mod log;
mod outputs;
mod program;
mod progress;

pub(super) use handler::Command;
pub use launcher::{has_program, kill_program, launch, own_binary};
pub use log::last_lines;
