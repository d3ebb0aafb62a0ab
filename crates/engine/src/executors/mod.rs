//! Runs attempts outside the engine, in child processes.

mod executor;
mod local;
mod log_cap;
mod log_keeper;
mod pool;
mod process;

pub use executor::{Attempt, AttemptId, Executor, Exit, Launch, Report, Sink, Sweep, WorkerId};
pub use local::Local;
pub use process::{descendants, identify, is_alive};
