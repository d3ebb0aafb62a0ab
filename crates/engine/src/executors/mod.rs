//! Runs attempts outside the engine: in child processes, or on other systems.

mod executor;
mod local;
mod log_cap;
mod log_keeper;
mod placed;
mod pool;
mod process;
mod remote;

pub use executor::{Attempt, AttemptId, Executor, Exit, Launch, Report, Sink, Sweep, WorkerId};
pub use local::Local;
pub use placed::Placed;
pub use process::{descendants, identify, is_alive};
pub(crate) use remote::JobFolder;
pub use remote::{agent, end, look};
