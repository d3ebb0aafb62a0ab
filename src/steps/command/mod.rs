//! `command`: any program as a step. The protocol for programs is in `specs/command-protocol.md`.

mod arguments;
mod checkpoint;
mod environment;
mod handler;
mod inputs;
mod outputs;
mod program;
#[cfg(test)]
mod tests;

pub(super) use handler::Command;
