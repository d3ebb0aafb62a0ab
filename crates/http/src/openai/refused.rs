//! Routes of OpenAI's API that no model here can answer, refused with a list of what there is.

use axum::http::StatusCode;

use crate::problem::Problem;
use crate::route::{Access, Doc, Route};

/// What clients find under `/v1`.
const OFFERED: [&str; 5] = ["/v1/files", "/v1/batches", "/v1/models", "/v1/chat/completions", "/v1/completions"];

/// Routes that clients know and that are not here.
const REFUSED: [&str; 7] = [
    "/v1/embeddings",
    "/v1/moderations",
    "/v1/responses",
    "/v1/images/generations",
    "/v1/audio/speech",
    "/v1/audio/transcriptions",
    "/v1/videos",
];

/// The list for refusals.
pub fn offered() -> String {
    format!("there are {}", OFFERED.join(", "))
}

pub fn routes() -> Vec<Route> {
    let doc = || Doc::new("openai", "Refused: no model here does this; the answer lists what there is");
    REFUSED.into_iter().map(|path| Route::post(path, Access::INFER, refuse, doc())).collect()
}

async fn refuse(uri: axum::http::Uri) -> Problem {
    let detail = format!("no model here answers `{}`", uri.path());
    Problem::new(StatusCode::BAD_REQUEST, "unsupported_endpoint", detail).hint(offered())
}
