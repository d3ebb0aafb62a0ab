//! Limits on the content of a file.

use serde::{Deserialize, Serialize};

use crate::body::Endpoint;

/// Bounds of a file. Each has a default that a person may raise, except the length of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    pub lines: u64,
    pub bytes: u64,
    pub line_bytes: u64,
}

impl Limits {
    /// OpenAI's limits of a batch.
    pub const OPENAI: Limits = Limits { lines: 50_000, bytes: 200 << 20, line_bytes: 16 << 20 };
    /// Limits of a file on this machine. A line costs some hundred bytes of memory, whatever its length.
    pub const LOCAL: Limits = Limits { lines: 1_000_000, bytes: 16 << 30, line_bytes: 16 << 20 };
}

/// The fate of a line that is no request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBadLine {
    /// Nothing is computed, and every bad line is named.
    Fail,
    /// The line gets an error line, and the others their answers.
    #[default]
    ErrorLine,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rules {
    pub limits: Limits,
    /// The only url of all lines; `None` allows each that is known.
    pub endpoint: Option<Endpoint>,
    /// Names by which requests may call the model; empty: any name, but only one in a file.
    pub models: Vec<String>,
}
