//! Step kinds that are known by name outside of their handlers.

/// The only kind that may use secrets.
pub const COMMAND: &str = "command";

// These steps have no attempts: the engine handles them itself.
pub const APPROVAL: &str = "approval";
pub const GATE: &str = "gate";
pub const SIGNAL: &str = "signal";
pub const WORKFLOW: &str = "workflow";
