//! The views of one run.

pub mod artifacts;
mod chart_marks;
mod checkpoints;
pub mod curves;
mod failures;
mod graph;
mod head;
pub mod history;
pub mod logs;
pub mod overview;
pub mod params;
pub mod samples;
pub mod step;
mod steps;
mod waits;

pub use chart_marks::charted;
pub use params::by_path;
