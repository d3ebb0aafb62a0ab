//! The table of all routes. A part of the API adds its routes here.

use axum::Router;
use axum::http::Uri;

use crate::guard::guard;
use crate::problem::Problem;
use crate::route::{AccessMap, Route};
use crate::state::AppState;
use crate::{api, gauges, openai, page};

/// Largest body in bytes: the text of a workflow.
const LARGEST_BODY: usize = 1 << 20;

/// Every route of the server.
pub fn routes() -> Vec<Route> {
    [
        api::health::routes(),
        api::runs::routes(),
        api::submit::routes(),
        api::control::routes(),
        api::remarks::routes(),
        api::steps::routes(),
        api::situation::routes(),
        gauges::routes(),
        api::content::logs::routes(),
        api::metrics::routes(),
        api::measured::samples::routes(),
        api::measured::usage::routes(),
        api::content::artifacts::routes(),
        api::workflows::routes(),
        api::schedules::routes(),
        api::webhooks::routes(),
        api::events::routes(),
        api::tokens::routes(),
        openai::routes(),
        page::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

pub fn access(routes: &[Route]) -> AccessMap {
    let mut access = AccessMap::default();
    for route in routes {
        access.insert(route.method.clone(), route.path, (route.access, route.pace));
    }
    access
}

/// The router with the guard around everything, also around what is no route.
pub fn router(routes: Vec<Route>, app: AppState) -> Router {
    let mut router = Router::new();
    for route in routes {
        router = router.route(route.path, route.handler);
    }
    router
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(axum::extract::DefaultBodyLimit::max(LARGEST_BODY))
        .layer(axum::middleware::from_fn_with_state(app.clone(), guard))
        .with_state(app)
}

async fn no_route(uri: Uri) -> Problem {
    let problem = Problem::not_found("there is nothing at this address");
    match openai::is_ours(uri.path()) {
        true => problem.hint(openai::offered()),
        false => problem.hint("`/api/v1/openapi.json` lists what there is"),
    }
}

async fn no_method() -> Problem {
    let status = axum::http::StatusCode::METHOD_NOT_ALLOWED;
    Problem::new(status, "usage", "this address has no such method").hint("`/api/v1/openapi.json` lists what there is")
}
