//! `command`: runs any program as a step. `specs/command-protocol.md` documents the protocol for programs.

mod arguments;
mod checkpoint;
mod environment;
mod files;
pub mod fuzzed;
mod handler;
mod log;
mod look_ahead;
mod missing_file;
mod numbers;
mod orphans;
mod outputs;
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "what a process does before it becomes a program must be safe after a fork")]
mod parent_death;
mod program;
mod redact;
mod reporter;
mod reports;
mod secrets;
mod spawn;
mod start_failure;

pub(crate) use files::Project;
pub use files::ProjectFiles;
pub(super) use handler::Command;
pub use log::last_lines;
pub use orphans::adopt_orphans;
pub use secrets::read as read_secret;
pub use spawn::{has_program, kill_program, own_binary};
