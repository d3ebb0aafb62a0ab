//! An answer as one body.

use axum::Json;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;

use super::channel::Piece;
use super::routes::gone;
use crate::problem::Problem;

/// Waits for the end of the answer.
///
/// # Errors
/// Those of the model.
pub async fn whole(mut pieces: UnboundedReceiver<Piece>) -> Result<Json<Value>, Problem> {
    while let Some(piece) = pieces.recv().await {
        match piece {
            Piece::Done(answer) => return Ok(Json(answer.body)),
            Piece::Failed(error) => return Err(error.into()),
            Piece::Started | Piece::Text { .. } | Piece::Finished { .. } => {}
        }
    }
    Err(gone())
}
