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
    let situation = ask_to_cancel(&app, id).await?;
    app.read(move |reader| Ok(Json(BatchForm::of(reader, &situation)?))).await
}

/// Stores the wish to end a batch early.
///
/// # Errors
/// When there is no such batch, or it has ended in another way already.
pub async fn ask_to_cancel(app: &AppState, id: String) -> Result<Situation, Problem> {
    let situation = app
        .write(move |store| {
            find(store.reader(), &id)?;
            store.cancel_batch(&id, Timestamp::now())?;
            let situation: Situation = find(store.reader(), &id)?;
            // Asking twice is no mistake: the first answer may have been lost.
            match situation.batch.ending.as_ref().map(|ending| ending.outcome) {
                None | Some(BatchOutcome::Cancelled) => Ok(situation),
                Some(outcome) => Err(Problem::usage(format!("the batch has {} already", outcome.as_str()))),
            }
        })
        .await?;
    app.bell().ring();
    Ok(situation)
}
