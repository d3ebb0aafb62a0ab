//! Rows of what attempts use.

use jiff::Timestamp;
use rusqlite::Row;

use stepwell_base::protocol::Usage;

use crate::decode::{FromRow, columns};
use crate::error::StoreError;

/// A measurement of an attempt and its time.
#[derive(Clone, PartialEq, Debug)]
pub struct UsageRow {
    pub attempt: u32,
    pub at: Timestamp,
    pub usage: Usage,
}

columns! {
    pub(crate) struct UsageColumns {
        attempt, number, at, cpu_seconds, memory_bytes, peak_bytes, disk_free_bytes, gpu_ratio, gpu_bytes,
    }
}

impl FromRow for UsageRow {
    type Columns = UsageColumns;

    fn from_row(row: &Row<'_>, columns: &UsageColumns) -> Result<UsageRow, StoreError> {
        let usage = Usage {
            number: columns.number.get(row)?,
            cpu_seconds: columns.cpu_seconds.get(row)?,
            memory_bytes: columns.memory_bytes.get(row)?,
            peak_bytes: columns.peak_bytes.get(row)?,
            disk_free_bytes: columns.disk_free_bytes.get(row)?,
            gpu_ratio: columns.gpu_ratio.get(row)?,
            gpu_bytes: columns.gpu_bytes.get(row)?,
        };
        Ok(UsageRow { attempt: columns.attempt.get(row)?, at: columns.at.get(row)?, usage })
    }
}
