//! A text column of a file of either layout.

use std::fs::File;

use crate::arrow::ArrowColumn;
use crate::error::ColumnError;
use crate::file::{Limits, Stored};
use crate::parquet::ParquetColumn;

/// Layout of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// Apache Parquet.
    Parquet,
    /// Apache Arrow IPC: the file format (also Feather 2) or the stream format, which `datasets` writes.
    Arrow,
}

/// A row of the column.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cell {
    Text(String),
    Null,
    /// Bytes that are not UTF-8, from this byte of the text on.
    NotUtf8 {
        valid_up_to: usize,
    },
}

/// Reads a column from its first row on.
pub struct TextColumn {
    rows: Rows,
    row: u64,
}

enum Rows {
    Parquet(Box<ParquetColumn>),
    Arrow(ArrowColumn),
}

impl TextColumn {
    /// Opens the column whose names from the root, joined by dots, are `name`.
    ///
    /// # Errors
    /// `NotThisFormat`, `Truncated`, `Damaged` for a file that is not sound; `NoColumn`, `NotText`.
    pub fn open(file: File, layout: Layout, name: &str, limits: Limits) -> Result<TextColumn, ColumnError> {
        let stored = Stored::new(file, limits)?;
        let rows = match layout {
            Layout::Parquet => Rows::Parquet(Box::new(ParquetColumn::open(stored, name)?)),
            Layout::Arrow => Rows::Arrow(ArrowColumn::open(stored, name)?),
        };
        Ok(TextColumn { rows, row: 0 })
    }

    /// Number of rows read so far.
    pub fn row(&self) -> u64 {
        self.row
    }

    /// Offset in the file up to which it has been read, for progress.
    pub fn offset(&self) -> u64 {
        match &self.rows {
            Rows::Parquet(column) => column.offset(),
            Rows::Arrow(column) => column.offset(),
        }
    }

    /// Returns the next row, or `None` after the last one.
    ///
    /// # Errors
    /// When the file is damaged, or asks for more memory than the limits allow.
    pub fn next_cell(&mut self) -> Result<Option<Cell>, ColumnError> {
        let cell = match &mut self.rows {
            Rows::Parquet(column) => column.next_cell()?,
            Rows::Arrow(column) => column.next_cell()?,
        };
        self.row += u64::from(cell.is_some());
        Ok(cell)
    }
}

/// Turns the bytes of a text into a cell.
pub fn cell(bytes: Vec<u8>) -> Cell {
    match String::from_utf8(bytes) {
        Ok(text) => Cell::Text(text),
        Err(error) => Cell::NotUtf8 { valid_up_to: error.utf8_error().valid_up_to() },
    }
}
