//! Routes of completions.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use super::channel::{CompletionSink, Piece, Pieces};
use super::stream::{Chunks, stream};
use super::whole::whole;
use crate::api::forms::Anything;
use crate::problem::Problem;
use crate::route::{Access, BodyOf, Doc, Route};
use crate::state::AppState;
use stepwell_base::ordered_json::Json;
use stepwell_batch::RowError;
use stepwell_batch::body::{Body, Endpoint};

/// Largest body in bytes: a long conversation.
const LARGEST: u64 = 4 << 20;

pub fn routes() -> Vec<Route> {
    let doc = |summary| Doc::new("openai", summary).body::<Anything>().returns::<Anything>();
    vec![
        Route::post(
            "/v1/chat/completions",
            Access::INFER,
            chat,
            doc("Lets a model answer a conversation, whole or as a stream"),
        )
        .takes(LARGEST as usize),
        Route::post(
            "/v1/completions",
            Access::INFER,
            completions,
            doc("Lets a model continue texts, whole or as a stream"),
        )
        .takes(LARGEST as usize),
    ]
}

async fn chat(State(app): State<AppState>, BodyOf(sent): BodyOf<Json, LARGEST>) -> Result<Response, Problem> {
    answer(app, Endpoint::ChatCompletions, sent).await
}

async fn completions(State(app): State<AppState>, BodyOf(sent): BodyOf<Json, LARGEST>) -> Result<Response, Problem> {
    answer(app, Endpoint::Completions, sent).await
}

async fn answer(app: AppState, endpoint: Endpoint, sent: Json) -> Result<Response, Problem> {
    let Ok(Value::Object(fields)) = serde_json::to_value(&sent) else {
        return Err(Problem::usage("the body must be a JSON object"));
    };
    // Tools are shown to the model, and schemas are followed, in the order of their keys.
    let body = Body::parse(endpoint, fields)?.in_order(Some(sent));
    let (streams, usage) = (body.options.stream, body.options.stream_usage);
    let (choices, model) = (body.choices(), body.model.clone());
    let (sink, mut pieces) = CompletionSink::new();
    app.ask(move |desk| desk.complete(body, sink)).await?;
    if !streams {
        return whole(pieces).await;
    }
    // A refusal of the model is an answer with its status, not an event.
    started(&mut pieces).await?;
    Ok(stream(pieces, Chunks::new(endpoint, model, choices, usage)))
}

/// Waits until the model has accepted the request.
async fn started(pieces: &mut Pieces) -> Result<(), Problem> {
    match pieces.next().await {
        Some(Piece::Failed(error)) => Err(error.into()),
        Some(_) => Ok(()),
        None => Err(gone()),
    }
}

/// The thread of the model has ended without a word.
pub(super) fn gone() -> Problem {
    let detail = "the model has stopped before it answered";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).hint("try again").retry_after(1)
}

impl From<RowError> for Problem {
    fn from(error: RowError) -> Problem {
        let status = error.code.status().and_then(|status| StatusCode::from_u16(status).ok());
        let problem =
            Problem::new(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), error.code.as_str(), error.message);
        match error.param {
            Some(param) => problem.about(param),
            None => problem,
        }
    }
}
