//! End-to-end tests: the real binary, a real database, real processes killed with SIGKILL.

mod bad_input;
mod cli;
mod crash;
mod engine;
mod harness;
mod lease_model;
mod reuse;
#[cfg(feature = "train")]
mod smoke;
#[cfg(feature = "train")]
mod training;
