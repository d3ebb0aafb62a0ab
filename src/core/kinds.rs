//! Step kinds that the engine itself knows: their steps have no attempts.

pub const APPROVAL: &str = "approval";
pub const GATE: &str = "gate";
pub const SIGNAL: &str = "signal";
pub const WORKFLOW: &str = "workflow";
