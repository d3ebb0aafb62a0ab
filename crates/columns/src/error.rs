//! Reasons that a column cannot be read.

use std::fmt;
use std::io;

/// A column of a file, for messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ColumnType {
    /// Names from the root, joined by dots.
    pub name: String,
    pub type_name: String,
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name: String = self.name.chars().take(SHOWN_CHARS).collect();
        write!(f, "{name} ({})", self.type_name)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ColumnError {
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file does not start or end as its format asks for.
    #[error("{0}")]
    NotThisFormat(String),
    /// The file ends before something that it announces.
    #[error("it ends at byte {length}, before {what} up to byte {wanted}")]
    Truncated { length: u64, what: &'static str, wanted: u64 },
    #[error("at byte {offset}: {what}")]
    Damaged { offset: u64, what: String },
    #[error("at byte {offset}: {what} of {bytes} bytes, more than the limit of {limit}")]
    TooLarge { offset: u64, what: &'static str, bytes: u64, limit: u64 },
    #[error("at byte {offset}: {what}")]
    Unsupported { offset: u64, what: String },
    #[error("there is no column `{wanted}`; columns: {}", shown(.columns))]
    NoColumn { wanted: String, columns: Vec<ColumnType> },
    #[error("column {} is not text; columns: {}", .column, shown(.columns))]
    NotText { column: ColumnType, columns: Vec<ColumnType> },
}

/// Most columns that a message names, and characters of a name.
const SHOWN: usize = 16;
const SHOWN_CHARS: usize = 50;

fn shown(columns: &[ColumnType]) -> String {
    let mut names: Vec<String> = columns.iter().take(SHOWN).map(ColumnType::to_string).collect();
    if columns.len() > SHOWN {
        names.push(format!("and {} more", columns.len() - SHOWN));
    }
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

impl ColumnError {
    pub(crate) fn damaged(offset: u64, what: impl Into<String>) -> ColumnError {
        ColumnError::Damaged { offset, what: what.into() }
    }

    pub(crate) fn unsupported(offset: u64, what: impl Into<String>) -> ColumnError {
        ColumnError::Unsupported { offset, what: what.into() }
    }
}
