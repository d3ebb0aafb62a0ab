//! Content of files: artifacts and logs, whole, in ranges, or as they grow.

pub mod artifacts;
mod file;
pub mod logs;

pub use file::{send, wanted};
