//! A request for a view of a run: the one way from an address with `{run}` to a page.

use askama::Template;
use axum::Extension;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;

use super::super::super::parts::{Refusal, Shown, show};
use super::around::Around;
use super::tabs::Tab;
use super::view::Head;
use crate::guard::Identity;
use crate::problem::Problem;
use crate::state::AppState;
use stepwell_store::Reader;

pub struct ViewOfRun {
    app: AppState,
    pub around: Around,
}

impl FromRequestParts<AppState> for ViewOfRun {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<ViewOfRun, Refusal> {
        let identity = Extension::<Identity>::from_request_parts(parts, app).await;
        let Extension(identity) = identity.map_err(|missing| Problem::internal("the request", &missing))?;
        let params = RawPathParams::from_request_parts(parts, app).await;
        let params = params.map_err(|rejection| Problem::usage(rejection.body_text()))?;
        let run = params.iter().find(|(name, _)| *name == "run").map(|(_, run)| run.to_owned()).unwrap_or_default();
        let around = Around::read(app, run, identity).await?;
        Ok(ViewOfRun { app: app.clone(), around })
    }
}

impl ViewOfRun {
    pub fn app(&self) -> &AppState {
        &self.app
    }

    /// Reads what the view shows, next to the head that all views have, and shows it.
    pub async fn show<T: Template + Send + 'static>(
        self,
        tab: Tab,
        page: impl FnOnce(&Reader, &Around, Head) -> Result<T, Problem> + Send + 'static,
    ) -> Shown {
        let ViewOfRun { app, around } = self;
        let page = app
            .read(move |reader| {
                let head = Head::read(reader, &around, tab)?;
                page(reader, &around, head)
            })
            .await?;
        show(&page)
    }
}
