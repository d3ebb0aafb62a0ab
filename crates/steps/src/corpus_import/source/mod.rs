//! Finds the files that a list of sources names.

mod formats;
mod pattern;
mod resolve;
mod walk;

pub use formats::{Compression, Format, of as format_of};
pub use pattern::{Pattern, is_glob};
pub use resolve::{SourceFile, SourceFiles, resolve, unreadable};
pub use walk::Walk;
