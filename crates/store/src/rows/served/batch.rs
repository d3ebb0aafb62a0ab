//! Rows of batches.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::Row;
use serde::{Deserialize, Serialize};

use stepwell_base::artifact::ArtifactRef;

use crate::decode::{FromRow, columns};
use crate::error::StoreError;

#[derive(Clone, PartialEq, Debug)]
pub struct BatchRow {
    /// `batch_` and a SHA-256; also the idempotency key of the run.
    pub id: String,
    pub created_at: Timestamp,
    pub endpoint: String,
    pub completion_window: String,
    pub expires_at: Timestamp,
    pub input_file: String,
    pub input: ArtifactRef,
    pub metadata: BTreeMap<String, String>,
    /// Seconds.
    pub output_expires_after: Option<u32>,
    /// `None` until the input was checked.
    pub checked: Option<BatchChecked>,
    pub cancelling_at: Option<Timestamp>,
    /// `None` until the batch has ended; never changes after that.
    pub ending: Option<BatchEnding>,
}

/// What checking the lines of the input has found, when all of them are good.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BatchChecked {
    pub lines: u64,
    pub model: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BatchEnding {
    pub outcome: BatchOutcome,
    pub at: Timestamp,
    /// When the last row was done: the rest was making files of results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finalizing_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_progress_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_file: Option<String>,
    #[serde(default)]
    pub counts: BatchCounts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<BatchUsage>,
    /// Why it failed: the bad lines, or what happened to the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<LineError>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchOutcome {
    Completed,
    Failed,
    Expired,
    Cancelled,
}

impl BatchOutcome {
    pub fn as_str(self) -> &'static str {
        match self {
            BatchOutcome::Completed => "completed",
            BatchOutcome::Failed => "failed",
            BatchOutcome::Expired => "expired",
            BatchOutcome::Cancelled => "cancelled",
        }
    }
}

/// Rows of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct BatchCounts {
    pub total: u64,
    pub completed: u64,
    pub failed: u64,
}

/// Tokens of the rows that were answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct BatchUsage {
    pub input_tokens: u64,
    pub output_tokens: u64,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LineError {
    pub code: String,
    pub message: String,
    /// From 1; `None` if it concerns the whole file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub param: Option<String>,
}

columns! {
    pub(crate) struct BatchColumns {
        id, created_at, endpoint, completion_window, expires_at, input_file, input, metadata, output_expires_after,
        checked, cancelling_at, ending,
    }
}

impl FromRow for BatchRow {
    type Columns = BatchColumns;

    fn from_row(row: &Row<'_>, columns: &BatchColumns) -> Result<BatchRow, StoreError> {
        Ok(BatchRow {
            id: columns.id.get(row)?,
            created_at: columns.created_at.get(row)?,
            endpoint: columns.endpoint.get(row)?,
            completion_window: columns.completion_window.get(row)?,
            expires_at: columns.expires_at.get(row)?,
            input_file: columns.input_file.get(row)?,
            input: columns.input.json(row)?,
            metadata: columns.metadata.json(row)?,
            output_expires_after: columns.output_expires_after.get(row)?,
            checked: columns.checked.maybe_json(row)?,
            cancelling_at: columns.cancelling_at.get(row)?,
            ending: columns.ending.maybe_json(row)?,
        })
    }
}
