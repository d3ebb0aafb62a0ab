//! Reads one text column of a Parquet or Arrow file, row after row. Start at [`TextColumn`].
//!
//! Only what a text column needs is read, so every size that a file claims is checked before memory is spent on it:
//! a page or a record batch takes as much memory as its header says, at most [`Limits::block_bytes`].

mod arrow;
mod column;
mod compression;
mod cursor;
mod error;
mod file;
mod parquet;

#[cfg(test)]
mod tests;

pub use column::{Cell, Layout, TextColumn};
pub use error::{ColumnError, ColumnType};
pub use file::Limits;
