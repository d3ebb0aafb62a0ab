//! `POST /runs/{run}/decide`: a person's answer to a step that waits for one.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::{Extension, Form};
use serde::Deserialize;

use super::super::parts::{Goes, Shown, done};
use crate::desk::Ask;
use crate::guard::Identity;
use crate::problem::Problem;
use crate::route::{Access, Doc, PathOf, Route};
use crate::state::AppState;
use stepwell_base::ids::{RunId, StepId};
use stepwell_run::event::Verdict;
use stepwell_run::request::Request;

/// Longest comment, in bytes.
const LONGEST: usize = 4096;

pub fn routes() -> Vec<Route> {
    vec![Route::post(
        "/runs/{run}/decide",
        Access::RUN,
        decide,
        Doc::new("page", "Answers a step that waits for a person"),
    )]
}

#[derive(Deserialize)]
struct Answer {
    step: String,
    verdict: String,
    #[serde(default)]
    comment: String,
}

async fn decide(
    State(app): State<AppState>,
    PathOf(run): PathOf<RunId>,
    Extension(identity): Extension<Identity>,
    headers: HeaderMap,
    Form(answer): Form<Answer>,
) -> Shown {
    let told = format!("{} is {} by {}.", answer.step, answer.verdict, identity.name);
    let asked = match request(answer, identity) {
        Ok(request) => app.ask(move |desk| desk.ask(run, Ask::Request(request))).await,
        Err(problem) => Err(problem),
    };
    done(&headers, asked.map(|()| told), &format!("/runs/{run}"), Goes::Stays)
}

fn request(answer: Answer, identity: Identity) -> Result<Request, Problem> {
    let verdict = match answer.verdict.as_str() {
        "approved" => Verdict::Approved,
        "rejected" => Verdict::Rejected,
        other => return Err(Problem::usage(format!("`{other}` is neither `approved` nor `rejected`"))),
    };
    if answer.comment.len() > LONGEST {
        return Err(Problem::usage(format!("a reason has at most {LONGEST} bytes")));
    }
    let comment = Some(answer.comment.trim().to_owned()).filter(|comment| !comment.is_empty());
    Ok(Request::Decide { step: StepId::from(answer.step.as_str()), verdict, approver: identity.name, comment })
}
