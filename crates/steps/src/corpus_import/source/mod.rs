//! Finds the files that a list of sources names.

mod formats;
mod pattern;
mod resolve;
mod walk;

pub use formats::{Compression, Format};
pub use pattern::Pattern;
pub use resolve::{SourceFile, SourceFiles, resolve, unreadable};
pub use walk::Walk;
