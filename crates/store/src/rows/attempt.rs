//! Rows of attempts.

use rusqlite::Row;

use stepwell_run::provenance::AttemptRecord;

use crate::decode::{FromRow, columns};
use crate::error::StoreError;

columns! {
    pub(crate) struct AttemptColumns { attempt, status, started_at, finished_at, reason, environment }
}

impl FromRow for AttemptRecord {
    type Columns = AttemptColumns;

    fn from_row(row: &Row<'_>, columns: &AttemptColumns) -> Result<AttemptRecord, StoreError> {
        Ok(AttemptRecord {
            attempt: columns.attempt.get(row)?,
            status: columns.status.get(row)?,
            started_at: columns.started_at.get(row)?,
            finished_at: columns.finished_at.get(row)?,
            reason: columns.reason.get(row)?,
            environment: columns.environment.get(row)?,
        })
    }
}
