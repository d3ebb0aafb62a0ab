//! `command`: any program as a step. The protocol for programs is in `specs/command-protocol.md`.

mod arguments;
mod checkpoint;
mod environment;
mod handler;
mod inputs;
mod log;
mod outputs;
mod program;
mod progress;
mod trampoline;

pub(super) use handler::Command;
pub use log::last_lines;
pub use trampoline::{own_binary, run_as_child_of};
