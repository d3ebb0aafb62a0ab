//! The child's side of an attempt: protocol, heartbeat, and the guarantee to die with the engine.

mod attempt;
mod exec;
mod reporter;
mod usage;

pub use attempt::perform;
pub use exec::{HEARTBEAT_VARIABLE, exec};
