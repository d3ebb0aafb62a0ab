//! Answers as HTML: pages, notices after an action, and refusals.

use askama::Template;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};

use super::frame::Frame;
use crate::problem::Problem;

/// A refusal as a page, or as a notice for a part of one.
pub struct Refusal(Problem);

pub type Shown = Result<Response, Refusal>;

#[derive(Template)]
#[template(path = "refused.html")]
struct Refused<'a> {
    frame: Frame,
    title: &'a str,
    detail: &'a str,
    hint: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "notice.html")]
struct Notice<'a> {
    class: &'static str,
    text: &'a str,
    hint: Option<&'a str>,
}

impl<E: Into<Problem>> From<E> for Refusal {
    fn from(error: E) -> Refusal {
        Refusal(error.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = self.0;
        let status = problem.status();
        let page = Refused {
            frame: Frame::still(),
            title: status.canonical_reason().unwrap_or("Error"),
            detail: problem.detail(),
            hint: problem.hint_text(),
        };
        match page.render() {
            Ok(text) => (status, Html(text)).into_response(),
            Err(_) => problem.into_response(),
        }
    }
}

pub fn show(page: &impl Template) -> Shown {
    let text = page.render().map_err(|error| Problem::internal("the page", &error))?;
    Ok(Html(text).into_response())
}

/// The answer to an action. A script of ours gets a notice and the word to look at the page again, or to go to `to`; a
/// browser without scripts goes there.
pub fn done(headers: &HeaderMap, done: Result<String, Problem>, to: &str, goes: Goes) -> Shown {
    let is_script = headers.contains_key("hx-request");
    if !is_script {
        return match done {
            Ok(_) => Ok(Redirect::to(to).into_response()),
            Err(problem) => Err(Refusal(problem)),
        };
    }
    let (status, notice) = match &done {
        Ok(text) => (StatusCode::OK, Notice { class: "", text, hint: None }),
        Err(problem) => (problem.status(), Notice { class: "bad", text: problem.detail(), hint: problem.hint_text() }),
    };
    let text = notice.render().map_err(|error| Problem::internal("the page", &error))?;
    let mut response = (status, Html(text)).into_response();
    let (name, value) = match (&done, goes) {
        (Ok(_), Goes::There) => ("hx-redirect", to),
        _ => ("hx-trigger", "live"),
    };
    let value = HeaderValue::try_from(value).map_err(|error| Problem::internal("the page", &error))?;
    response.headers_mut().insert(header::HeaderName::from_static(name), value);
    Ok(response)
}

/// Where a person is after an action.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Goes {
    Stays,
    There,
}
