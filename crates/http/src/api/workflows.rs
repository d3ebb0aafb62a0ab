//! Workflows that the server knows, and checks of others.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::forms::Anything;
use crate::problem::Problem;
use crate::route::{Access, Body, Doc, PathOf, Route};
use crate::state::AppState;

pub fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/api/v1/workflows",
            Access::READ,
            list,
            Doc::new("workflows", "Lists the workflows that can be submitted by name").returns::<WorkflowList>(),
        ),
        Route::get(
            "/api/v1/workflows/{workflow}",
            Access::READ,
            show,
            Doc::new(
                "workflows",
                "Shows a workflow: its parameters with their comments, its steps as a graph, its text",
            )
            .returns::<Anything>(),
        ),
        Route::post(
            "/api/v1/validate",
            Access::RUN,
            validate,
            Doc::new("workflows", "Checks the text of a workflow; a refusal lists every problem")
                .body::<ValidateBody>()
                .returns::<Anything>(),
        ),
    ]
}

#[derive(Debug, Serialize, ToSchema)]
pub struct WorkflowList {
    workflows: Vec<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ValidateBody {
    text: String,
    /// Parameters that differ from the defaults.
    #[serde(default)]
    params: Map<String, Value>,
}

async fn list(State(app): State<AppState>) -> Result<Json<WorkflowList>, Problem> {
    app.ask(|desk| desk.workflows()).await.map(|workflows| Json(WorkflowList { workflows }))
}

async fn show(State(app): State<AppState>, PathOf(name): PathOf<String>) -> Result<Json<Anything>, Problem> {
    app.ask(move |desk| desk.workflow(&name)).await.map(|value| Json(Anything(value)))
}

async fn validate(State(app): State<AppState>, Body(body): Body<ValidateBody>) -> Result<Json<Anything>, Problem> {
    app.ask(move |desk| desk.validate(&body.text, &body.params)).await.map(|value| Json(Anything(value)))
}
