//! `POST /batches/{batch}/cancel`: rows that are done keep their answers.

use axum::extract::State;
use axum::http::HeaderMap;

use super::super::parts::{Goes, Shown, done};
use super::super::runs::encoded;
use crate::openai::ask_to_cancel;
use crate::route::{Access, Doc, PathOf, Route};
use crate::state::AppState;

pub fn routes() -> Vec<Route> {
    vec![Route::post("/batches/{batch}/cancel", Access::RUN, cancel, Doc::new("page", "Cancels a batch"))]
}

async fn cancel(State(app): State<AppState>, PathOf(id): PathOf<String>, headers: HeaderMap) -> Shown {
    let to = format!("/batches/{}", encoded(&id));
    let asked = ask_to_cancel(&app, id).await;
    let told = "The batch is being cancelled. Rows that are done keep their answers.";
    done(&headers, asked.map(|_| told.to_owned()), &to, Goes::Stays)
}
