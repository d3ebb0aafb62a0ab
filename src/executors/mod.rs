//! Where an attempt runs: on a thread of the engine, or in a child process.

mod executor;
mod in_process;
mod local;
mod log_cap;
mod log_keeper;
mod pool;
mod process;

pub use executor::{Attempt, AttemptId, Executor, Exit, Launch, Report, Sink, Sweep};
pub use in_process::InProcess;
pub use local::Local;
pub use process::{descendants, end_leftovers, end_workers, identify, is_alive};
