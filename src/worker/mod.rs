//! The child's side of an attempt: protocol, heartbeat, and the promise to die with the engine.

mod attempt;
mod exec;
mod log;
mod reporter;
mod trampoline;

pub use attempt::perform;
pub use exec::{HEARTBEAT_VARIABLE, exec};
pub use log::{last_lines, log_path};
pub use trampoline::{run_as_child_of, trampoline};
