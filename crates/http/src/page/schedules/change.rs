//! `POST /schedules/{schedule}/pause`, `resume` and `remove`.

use axum::extract::State;
use axum::http::HeaderMap;
use jiff::Timestamp;

use super::super::parts::{Goes, Shown, cut, done};
use crate::problem::Problem;
use crate::route::{Access, Doc, PathOf, Route};
use crate::state::AppState;
use stepwell_base::visible::visible_line;
use stepwell_store::{Store, StoreError};

const LONGEST_NAME: usize = 120;

pub fn routes() -> Vec<Route> {
    let doc = |summary| Doc::new("page", summary);
    vec![
        Route::post("/schedules/{schedule}/pause", Access::RUN, pause, doc("Pauses a schedule")),
        Route::post("/schedules/{schedule}/resume", Access::RUN, resume, doc("Resumes a schedule")),
        Route::post("/schedules/{schedule}/remove", Access::RUN, remove, doc("Removes a schedule")),
    ]
}

async fn pause(State(app): State<AppState>, PathOf(name): PathOf<String>, headers: HeaderMap) -> Shown {
    let told = format!("{} is paused.", shown(&name));
    change(&app, &headers, told, move |store| store.pause_schedule(&name, Timestamp::now())).await
}

async fn resume(State(app): State<AppState>, PathOf(name): PathOf<String>, headers: HeaderMap) -> Shown {
    let told = format!("{} starts runs again.", shown(&name));
    change(&app, &headers, told, move |store| store.resume_schedule(&name, Timestamp::now())).await
}

async fn remove(State(app): State<AppState>, PathOf(name): PathOf<String>, headers: HeaderMap) -> Shown {
    let told = format!("{} is removed; its runs stay.", shown(&name));
    change(&app, &headers, told, move |store| store.remove_schedule(&name)).await
}

fn shown(name: &str) -> String {
    cut(&visible_line(name), LONGEST_NAME)
}

async fn change(
    app: &AppState,
    headers: &HeaderMap,
    told: String,
    change: impl FnOnce(&mut Store) -> Result<(), StoreError> + Send + 'static,
) -> Shown {
    let changed = app.write(move |store| Ok(change(store)?)).await;
    if changed.is_ok() {
        app.ask(|desk| {
            desk.wake();
            Ok::<_, Problem>(())
        })
        .await?;
    }
    done(headers, changed.map(|()| told), "/schedules", Goes::Stays)
}
