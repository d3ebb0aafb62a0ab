//! What running commands print, line by line.

mod log_lines;
mod log_tail;

pub use log_lines::{LastLine, LogDetail, LogLine, LogLines};
