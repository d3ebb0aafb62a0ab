//! Health, readiness, and the OpenAPI document.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::desk::EngineView;
use crate::problem::Problem;
use crate::route::{Access, Doc, Route};
use crate::state::AppState;

pub fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/healthz",
            Access::Open,
            healthz,
            Doc::new("health", "Says that the server answers").streams("text/plain"),
        ),
        Route::get(
            "/readyz",
            Access::Open,
            readyz,
            Doc::new("health", "Says that the database answers").streams("text/plain"),
        ),
        Route::get(
            "/api/v1/health",
            Access::READ,
            health,
            Doc::new("health", "Names the engine, the newest event and the build").returns::<Health>(),
        ),
        Route::get(
            "/api/v1/openapi.json",
            Access::READ,
            document,
            Doc::new("health", "Describes this API").streams("application/json"),
        ),
    ]
}

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(State(app): State<AppState>) -> Result<&'static str, Response> {
    let newest = app.read(|reader| Ok(reader.newest_event()?)).await;
    newest.map(|_| "ready\n").map_err(|_| (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response())
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    version: &'static str,
    started_at: String,
    newest_event: i64,
    engine: EngineForm,
}

/// The process that drives runs.
#[derive(Debug, Serialize, ToSchema)]
pub struct EngineForm {
    /// `here`, `elsewhere` or `nobody`.
    state: &'static str,
    /// The other process, or the reason why no process is the engine.
    detail: Option<String>,
    /// The only run that it drives, if it drives only one.
    run: Option<String>,
}

impl From<EngineView> for EngineForm {
    fn from(view: EngineView) -> EngineForm {
        match view {
            EngineView::Here => EngineForm { state: "here", detail: None, run: None },
            EngineView::Elsewhere { who, run } => {
                EngineForm { state: "elsewhere", detail: Some(who), run: run.map(|run| run.to_string()) }
            }
            EngineView::Nobody(why) => EngineForm { state: "nobody", detail: Some(why), run: None },
        }
    }
}

async fn health(State(app): State<AppState>) -> Result<Json<Health>, Problem> {
    let engine = app.ask(|desk| Ok::<_, Problem>(desk.engine())).await?;
    let newest_event = app.read(|reader| Ok(reader.newest_event()?)).await?;
    let started_at = app.started_at().to_string();
    Ok(Json(Health { version: env!("CARGO_PKG_VERSION"), started_at, newest_event, engine: engine.into() }))
}

async fn document(State(app): State<AppState>) -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], app.openapi()).into_response()
}
