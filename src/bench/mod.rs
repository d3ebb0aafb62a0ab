//! `stepwell bench engine`: what the engine does per second on this machine, next to what the disk and the
//! kernel do without it. Both are measured in turns, so that other load hits both.

mod busy;
mod case;
mod engine;
mod error;
mod floors;
mod observe;
mod scale;
mod start;
mod statistics;
mod throughput;
mod workflows;

pub use case::Case;
pub use engine::{Options, engine};
pub use error::BenchError;
pub use statistics::{Figure, Ratio, Report};
