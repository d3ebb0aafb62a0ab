//! The JSON form of a file.

use serde::Serialize;
use utoipa::ToSchema;

use crate::openai::page::{Listed, seconds};
use stepwell_store::FileRow;

/// A file, as OpenAI's clients know it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = OpenAiFile)]
pub struct FileForm {
    /// `file-` and the SHA-256 of the content.
    id: String,
    /// Always `file`.
    object: &'static str,
    bytes: u64,
    created_at: i64,
    expires_at: Option<i64>,
    filename: String,
    /// `batch` for input, `batch_output` for results.
    purpose: String,
    /// Always `processed`: a file is complete as soon as it has an id.
    status: &'static str,
}

impl From<FileRow> for FileForm {
    fn from(row: FileRow) -> FileForm {
        FileForm {
            id: row.id,
            object: "file",
            bytes: row.artifact.size,
            created_at: seconds(row.created_at),
            expires_at: row.expires_at.map(seconds),
            filename: row.filename,
            purpose: row.purpose,
            status: "processed",
        }
    }
}

impl Listed for FileForm {
    fn id(&self) -> &str {
        &self.id
    }
}
