//! Sends the content of a file, whatever the client says it accepts.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

use super::one::find;
use crate::api::content::{send, wanted};
use crate::problem::Problem;
use crate::route::PathOf;
use crate::state::AppState;
use stepwell_artifact::{ArtifactStore, open_regular};

pub async fn content(
    State(app): State<AppState>,
    PathOf(file): PathOf<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (row, content) = app
        .read(move |reader| {
            let row = find(reader, &file)?;
            let path = ArtifactStore::open(reader.state_dir())?.blob_path(&row.artifact.digest);
            let gone = |why: String| {
                Problem::new(StatusCode::GONE, "damaged", format!("the content of the file {why}"))
                    .hint("`stepwell artifact verify` checks all content; upload the file again")
            };
            let content = open_regular(&path).map_err(|error| gone(format!("is gone: {error}")))?;
            match content.metadata() {
                Ok(metadata) if metadata.len() == row.artifact.size => Ok((row, content)),
                _ => Err(gone("does not have its size any more".to_owned())),
            }
        })
        .await?;
    let headers_of_answer = [
        // Never shown by a browser: anybody may have uploaded anything.
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment")),
    ];
    send(content, row.artifact.size, wanted(&headers, row.artifact.size), headers_of_answer)
}
