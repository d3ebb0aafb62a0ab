//! Rows of uploaded files and of result files.

use jiff::Timestamp;
use rusqlite::Row;

use stepwell_base::artifact::ArtifactRef;

use crate::decode::{FromRow, columns};
use crate::error::StoreError;

#[derive(Clone, PartialEq, Debug)]
pub struct FileRow {
    /// `file-` and the SHA-256 of the content.
    pub id: String,
    pub artifact: ArtifactRef,
    pub filename: String,
    /// `batch` or `batch_output`.
    pub purpose: String,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
}

columns! {
    pub(crate) struct FileColumns { id, digest, size, media_type, filename, purpose, created_at, expires_at }
}

impl FromRow for FileRow {
    type Columns = FileColumns;

    fn from_row(row: &Row<'_>, columns: &FileColumns) -> Result<FileRow, StoreError> {
        Ok(FileRow {
            id: columns.id.get(row)?,
            artifact: ArtifactRef {
                digest: columns.digest.get(row)?,
                size: columns.size.get(row)?,
                media_type: columns.media_type.get(row)?,
            },
            filename: columns.filename.get(row)?,
            purpose: columns.purpose.get(row)?,
            created_at: columns.created_at.get(row)?,
            expires_at: columns.expires_at.get(row)?,
        })
    }
}
