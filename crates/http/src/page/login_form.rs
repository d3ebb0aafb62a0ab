//! The form that a browser without a session sees.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};

#[derive(Template)]
#[template(path = "login.html")]
struct Login {
    wrong: Option<&'static str>,
}

/// The login form. `wrong` says what was wrong with the last try.
pub fn login_form(status: StatusCode, wrong: Option<&'static str>) -> Response {
    match (Login { wrong }).render() {
        Ok(page) => (status, Html(page)).into_response(),
        Err(_) => status.into_response(),
    }
}
