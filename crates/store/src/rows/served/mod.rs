//! Rows of the OpenAI-compatible routes.

mod batch;
mod file;

pub use batch::{BatchChecked, BatchCounts, BatchEnding, BatchOutcome, BatchRow, BatchUsage, LineError};
pub use file::FileRow;
