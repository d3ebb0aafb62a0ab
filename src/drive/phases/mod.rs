//! A research log in folders: each phase has a plan, a log of its runs, and results.

mod folder;
mod log;

pub use folder::{Phase, discover};
pub use log::{tag_of, write};
