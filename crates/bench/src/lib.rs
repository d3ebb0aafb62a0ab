//! Measures how fast this machine runs steps, compared with what the disk and the kernel do without an engine, and how
//! fast it trains and infers, compared with PyTorch and llama.cpp. Both sides take turns, so that other load hits both.
//!
//! It does not run workflows by itself: it starts the program like a user does. Start reading at `engine.rs`.

mod busy;
mod case;
mod contest;
mod engine;
mod error;
mod floors;
#[cfg(feature = "train")]
pub mod generate;
pub mod infer;
mod million;
mod observe;
mod scale;
mod start;
mod statistics;
mod throughput;
#[cfg(feature = "train")]
pub mod tokenize;
#[cfg(feature = "train")]
pub mod train;
mod workflows;

pub use case::Case;
pub use engine::{Options, engine};
pub use error::BenchError;
pub use statistics::{Figure, Ratio, Report};
