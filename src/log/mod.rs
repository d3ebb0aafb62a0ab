//! The program's own log: warnings on standard error, and what an engine does in a file of its state directory.

mod rotated;
mod start;

pub use start::{check, engine, worker};
