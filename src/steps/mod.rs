//! Step kinds: what runs, one file per kind.

mod command;
mod handler;
mod noop;
mod registry;

pub use command::{last_lines, own_binary, run_as_child_of};
pub use handler::{Reporter, StepContext, StepError, StepHandler, arguments};
pub use registry::{catalog, find, registry};
