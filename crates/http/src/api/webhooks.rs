//! Receivers of events, which only the settings name.

use axum::Json;
use axum::extract::State;

use super::forms::Anything;
use crate::problem::Problem;
use crate::route::{Access, Doc, PathOf, Route};
use crate::state::AppState;

pub fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/api/v1/webhooks",
            Access::READ,
            list,
            Doc::new("webhooks", "Lists the receivers of events with their last results").returns::<Anything>(),
        ),
        Route::post(
            "/api/v1/webhooks/{webhook}/test",
            Access::RUN,
            test,
            Doc::new("webhooks", "Sends a test to a receiver, and tells what came of it").returns::<Anything>(),
        ),
    ]
}

async fn list(State(app): State<AppState>) -> Result<Json<Anything>, Problem> {
    app.ask(|desk| desk.webhooks()).await.map(|value| Json(Anything(value)))
}

async fn test(State(app): State<AppState>, PathOf(name): PathOf<String>) -> Result<Json<Anything>, Problem> {
    app.ask(move |desk| desk.test_webhook(&name)).await.map(|value| Json(Anything(value)))
}
