//! End-to-end tests: the real binary, a real database, real processes killed with SIGKILL.

mod bad_input;
mod bit_flips;
mod cli;
mod crash;
mod engine;
mod harness;
mod maintenance;
mod provenance;
mod reuse;
#[cfg(feature = "train")]
mod smoke;
#[cfg(feature = "train")]
mod training;
