//! Work that survives an attempt in the scratch directory: files that grow, and a record of what is durable in them.

mod growing_file;
mod record;

pub use growing_file::{FileState, GrowingFile, ResumeError};
pub use record::Record;
