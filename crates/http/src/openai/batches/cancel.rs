//! Cancels a batch: the wish is durable on return, and the keeper brings it about.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;

use super::form::BatchForm;
use super::situation::{Situation, find};
use crate::api::control::NoBody;
use crate::problem::Problem;
use crate::route::{Body, PathOf};
use crate::state::AppState;
use stepwell_store::BatchOutcome;

pub async fn cancel(
    State(app): State<AppState>,
    PathOf(id): PathOf<String>,
    Body(NoBody {}): Body<NoBody>,
) -> Result<Json<BatchForm>, Problem> {
    let form = app
        .write(move |store| {
            find(store.reader(), &id)?;
            store.cancel_batch(&id, Timestamp::now())?;
            let situation: Situation = find(store.reader(), &id)?;
            // Asking twice is no mistake: the first answer may have been lost.
            match situation.batch.ending.as_ref().map(|ending| ending.outcome) {
                None | Some(BatchOutcome::Cancelled) => Ok(BatchForm::of(store.reader(), &situation)?),
                Some(outcome) => Err(Problem::usage(format!("the batch has {} already", outcome.as_str()))),
            }
        })
        .await?;
    app.bell().ring();
    Ok(Json(form))
}
