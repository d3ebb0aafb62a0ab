//! Schedules.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::forms::Anything;
use super::submit::workflow_text;
use crate::desk::NewSchedule;
use crate::problem::Problem;
use crate::route::{Access, Body, Doc, PathOf, Route};
use crate::state::AppState;
use stepwell_store::{Store, StoreError};

pub fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/api/v1/schedules",
            Access::READ,
            list,
            Doc::new("schedules", "Lists the schedules with their next times").returns::<Anything>(),
        ),
        Route::post(
            "/api/v1/schedules",
            Access::RUN,
            create,
            Doc::new("schedules", "Adds a schedule, of a workflow by name or as text")
                .body::<ScheduleBody>()
                .returns::<Anything>(),
        ),
        Route::post(
            "/api/v1/schedules/{schedule}/pause",
            Access::RUN,
            pause,
            Doc::new("schedules", "Pauses a schedule").returns::<Anything>(),
        ),
        Route::post(
            "/api/v1/schedules/{schedule}/resume",
            Access::RUN,
            resume,
            Doc::new("schedules", "Resumes a schedule").returns::<Anything>(),
        ),
        Route::delete(
            "/api/v1/schedules/{schedule}",
            Access::RUN,
            remove,
            Doc::new("schedules", "Removes a schedule; its runs stay").returns::<Anything>(),
        ),
    ]
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScheduleBody {
    name: String,
    /// Minute, hour, day of the month, month and day of the week.
    cron: String,
    /// Such as `Europe/Berlin`; UTC by default.
    time_zone: Option<String>,
    /// Name of a workflow of the server.
    workflow: Option<String>,
    /// Text of a workflow file in its place. The schedule keeps it as it is now.
    text: Option<String>,
    /// Parameters that differ from the defaults of the workflow.
    #[serde(default)]
    params: Map<String, Value>,
    /// Times missed while no engine ran: `all`, `latest` (the default) or `none`.
    catch_up: Option<String>,
    #[serde(default)]
    priority: i32,
}

async fn list(State(app): State<AppState>) -> Result<Json<Anything>, Problem> {
    app.ask(|desk| desk.schedules()).await.map(|value| Json(Anything(value)))
}

async fn create(State(app): State<AppState>, Body(body): Body<ScheduleBody>) -> Result<Json<Anything>, Problem> {
    let catch_up = match body.catch_up.as_deref() {
        None => stepwell_workflow::timetable::CatchUp::Latest,
        Some(word) => serde_json::from_value(Value::from(word))
            .map_err(|_| Problem::usage("`catch_up` is `all`, `latest` or `none`"))?,
    };
    let new = NewSchedule {
        name: body.name.parse().map_err(|error| Problem::usage(format!("`name`: {error}")))?,
        cron: body.cron,
        time_zone: body.time_zone.unwrap_or_else(|| "UTC".to_owned()),
        workflow: workflow_text("a schedule", body.workflow, body.text)?,
        params: body.params,
        catch_up,
        priority: body.priority,
    };
    app.ask(move |desk| desk.add_schedule(new)).await?;
    list(State(app)).await
}

async fn pause(State(app): State<AppState>, PathOf(name): PathOf<String>) -> Result<Json<Anything>, Problem> {
    change(app, move |store| store.pause_schedule(&name, Timestamp::now())).await
}

async fn resume(State(app): State<AppState>, PathOf(name): PathOf<String>) -> Result<Json<Anything>, Problem> {
    change(app, move |store| store.resume_schedule(&name, Timestamp::now())).await
}

async fn remove(State(app): State<AppState>, PathOf(name): PathOf<String>) -> Result<Json<Anything>, Problem> {
    change(app, move |store| store.remove_schedule(&name)).await
}

async fn change(
    app: AppState,
    change: impl FnOnce(&mut Store) -> Result<(), StoreError> + Send + 'static,
) -> Result<Json<Anything>, Problem> {
    app.write(move |store| Ok(change(store)?)).await?;
    app.ask(|desk| {
        desk.wake();
        desk.schedules()
    })
    .await
    .map(|value| Json(Anything(value)))
}
