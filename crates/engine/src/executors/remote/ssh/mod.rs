//! A machine with an SSH server and nothing else: binary, project, artifacts and request travel there, log and results travel back.

mod content;
mod host;
mod line;
mod project;
mod ready;

pub(super) use host::SshHost;
pub(super) use ready::Known;
