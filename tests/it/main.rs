//! End-to-end tests: the real binary, a real database, real processes killed with SIGKILL.

mod bad_input;
mod cli;
mod control;
mod crash;
mod engine;
#[cfg(feature = "failpoints")]
mod failpoints;
mod harness;
mod reuse;
#[cfg(feature = "train")]
mod smoke;
#[cfg(feature = "train")]
mod training;
