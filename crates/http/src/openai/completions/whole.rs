//! An answer as one body.

use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::channel::{Piece, Pieces};
use super::routes::gone;
use crate::problem::Problem;

/// Waits for the end of the answer.
///
/// # Errors
/// Those of the model.
pub async fn whole(mut pieces: Pieces) -> Result<Response, Problem> {
    while let Some(piece) = pieces.next().await {
        match piece {
            Piece::Done { body, .. } => return Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response()),
            Piece::Failed(error) => return Err(error.into()),
            Piece::Started | Piece::Text { .. } | Piece::Finished { .. } => {}
        }
    }
    Err(gone())
}
