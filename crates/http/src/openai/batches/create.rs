//! Creates a batch. Its row is durable on return; everything else follows from it, whatever is killed.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::form::BatchForm;
use super::new::NewBatch;
use super::situation::Situation;
use crate::openai::files::{OutputExpiry, find};
use crate::problem::Problem;
use crate::route::Body;
use crate::state::AppState;
use stepwell_store::BatchRow;

/// Batches that have not ended. Each costs a look a second.
const MOST_OPEN: usize = 1000;
/// Seconds after which a client tries again when there are too many. More than a minute would make it give up.
const WAIT: u64 = 30;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateBody {
    /// Id of an uploaded file of requests, one JSON object on each line.
    input_file_id: String,
    /// `/v1/chat/completions` or `/v1/completions`, for all lines.
    endpoint: String,
    /// `24h`, or another time up to `7d`.
    completion_window: String,
    /// Up to 16 texts. `rerun` asks for a new batch of a request that was sent before; `stepwell.on_bad_line` is `fail` or
    /// `error_line`.
    #[serde(default)]
    metadata: Option<BTreeMap<String, String>>,
    #[serde(default)]
    output_expires_after: Option<OutputExpiry>,
}

pub async fn create(State(app): State<AppState>, Body(body): Body<CreateBody>) -> Result<Json<BatchForm>, Problem> {
    let field = "output_expires_after";
    let lasts = body.output_expires_after.map(|expiry| expiry.lasts(field)).transpose()?;
    let id = body.input_file_id;
    let file = app.read(move |reader| find(reader, &id)).await.map_err(|problem| {
        // A missing route is 404; a wrong field is 400.
        Problem::new(StatusCode::BAD_REQUEST, problem.code(), problem.detail()).about("input_file_id")
    })?;
    let metadata = body.metadata.unwrap_or_default();
    add(&app, NewBatch::new(file, (&body.endpoint, &body.completion_window), metadata, lasts)?).await
}

/// Stores the batch, unless it exists, and answers with it.
///
/// # Errors
/// Those of [`store`].
pub async fn add(app: &AppState, batch: NewBatch) -> Result<Json<BatchForm>, Problem> {
    let row = store(app, batch).await?;
    app.read(move |reader| Ok(Json(BatchForm::of(reader, &Situation::of(reader, row)?)?))).await
}

/// Stores the batch, unless it exists; durable on return.
///
/// # Errors
/// 429 when too many batches have not ended.
pub async fn store(app: &AppState, batch: NewBatch) -> Result<BatchRow, Problem> {
    let row = batch.row();
    let row = app
        .write(move |store| {
            let reader = store.reader();
            if reader.batch(&row.id)?.is_none() && reader.open_batches()?.len() >= MOST_OPEN {
                let detail = format!("{MOST_OPEN} batches have not ended yet");
                return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "queue_full", detail).retry_after(WAIT));
            }
            Ok(store.add_batch(&row)?)
        })
        .await?;
    app.bell().ring();
    Ok(row)
}
