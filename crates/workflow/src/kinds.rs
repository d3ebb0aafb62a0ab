//! Step kinds that code outside their handlers knows by name.

/// The only kind that may use secrets.
pub const COMMAND: &str = "command";
/// Another way to write a [`COMMAND`]; no step of a checked workflow has it.
pub const SHELL: &str = "shell";

// These steps have no attempts: the engine handles them itself.
pub const APPROVAL: &str = "approval";
pub const GATE: &str = "gate";
pub const SIGNAL: &str = "signal";
pub const WORKFLOW: &str = "workflow";
