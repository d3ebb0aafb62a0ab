//! What a person does with a run: pause, resume, retry, cancel, decide, fork.

pub mod control;
pub mod decide;
pub mod fork;

pub use fork::run_name;
