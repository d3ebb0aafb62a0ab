//! Stepwell: durable workflows that take raw text to a trained, evaluated, exported transformer.
//!
//! Start reading at `cli::run`, which submits a run; `engine` drives it; `store` commits it.
#![deny(unsafe_code)]
#![recursion_limit = "256"]

pub mod artifact;
pub mod bench;
pub mod cli;
pub mod config;
pub mod core;
pub mod engine;
pub mod executors;
pub mod faults;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod steps;
pub mod store;
#[cfg(feature = "train")]
pub mod train;
pub mod worker;
