//! One file: shown, or deleted.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::form::FileForm;
use crate::problem::Problem;
use crate::route::PathOf;
use crate::state::AppState;
use stepwell_store::{FileRow, Reader};

/// Purpose of the result files of batches.
pub const RESULTS: &str = "batch_output";

#[derive(Debug, Serialize, ToSchema)]
pub struct DeletedForm {
    id: String,
    /// Always `file`.
    object: &'static str,
    deleted: bool,
}

pub async fn show(State(app): State<AppState>, PathOf(file): PathOf<String>) -> Result<Json<FileForm>, Problem> {
    app.read(move |reader| Ok(Json(find(reader, &file)?.into()))).await
}

pub async fn delete(State(app): State<AppState>, PathOf(file): PathOf<String>) -> Result<Json<DeletedForm>, Problem> {
    app.write(move |store| match store.remove_file(&file)? {
        true => Ok(Json(DeletedForm { id: file, object: "file", deleted: true })),
        false => Err(missing(&file)),
    })
    .await
}

/// A file whose time is not over.
///
/// # Errors
/// When there is none.
pub fn find(reader: &Reader, id: &str) -> Result<FileRow, Problem> {
    let found = reader.file(id)?.filter(|file| file.expires_at.is_none_or(|at| Timestamp::now() < at));
    found.ok_or_else(|| missing(id))
}

fn missing(id: &str) -> Problem {
    let shown: String = id.chars().take(80).collect();
    Problem::not_found(format!("there is no file `{shown}`")).hint("`GET /v1/files` lists them").about("id")
}
