//! `GET /schedules`: workflows that start by the clock.

use askama::Template;
use axum::extract::State;
use jiff::tz::TimeZone;

use super::parts::{Frame, Here, Shown, When, show};
use super::runs::encoded;
use crate::desk::EngineView;
use crate::problem::Problem;
use crate::route::{Access, Doc, Route};
use crate::state::AppState;
use stepwell_store::{Reader, ScheduleRow};
use stepwell_workflow::timetable::Timetable;

pub fn routes() -> Vec<Route> {
    vec![Route::get("/schedules", Access::READ, schedules, Doc::new("page", "Shows the schedules"))]
}

#[derive(Template)]
#[template(path = "schedules.html")]
struct Schedules {
    frame: Frame,
    rows: Vec<Row>,
    unreadable: usize,
}

struct Row {
    name: String,
    workflow: String,
    cron: String,
    time_zone: String,
    next: Option<When>,
    is_paused: bool,
    /// The address of its runs.
    runs: String,
}

async fn schedules(State(app): State<AppState>) -> Shown {
    let engine = app.ask(|desk| Ok::<_, Problem>(desk.engine())).await?;
    let page = app.read(move |reader| page(reader, &engine)).await?;
    show(&page)
}

fn page(reader: &Reader, engine: &EngineView) -> Result<Schedules, Problem> {
    let (rows, unreadable) = reader.schedules()?;
    Ok(Schedules {
        frame: Frame::live(Here::Schedules, "/schedules", engine),
        rows: rows.iter().map(row).collect(),
        unreadable: unreadable.len(),
    })
}

fn row(schedule: &ScheduleRow) -> Row {
    let next = || {
        let zone = TimeZone::get(&schedule.time_zone).ok()?;
        Timetable::new(&schedule.cron, zone).ok()?.next_after(schedule.done_until)
    };
    Row {
        name: schedule.name.clone(),
        workflow: schedule.spec.name.clone(),
        cron: schedule.cron.clone(),
        time_zone: schedule.time_zone.clone(),
        next: next().map(When::new),
        is_paused: schedule.paused_at.is_some(),
        runs: format!("/runs?workflow={}", encoded(&schedule.spec.name)),
    }
}
