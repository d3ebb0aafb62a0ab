//! Logging a browser in and out.

use std::time::Instant;

use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form};
use jiff::Timestamp;
use serde::Deserialize;

use super::login_form::login_form;
use crate::guard::{Identity, LoginError, Secret, peer, too_many};
use crate::problem::Problem;
use crate::route::{Access, Doc, Route};
use crate::state::AppState;
use stepwell_store::TokenKind;

pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/login", Access::Open, form, Doc::new("page", "Shows the login form")),
        Route::post("/login", Access::Open, log_in, Doc::new("page", "Exchanges a code or a token for a session")),
        Route::post("/logout", Access::READ, log_out, Doc::new("page", "Ends the session")),
    ]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    secret: String,
}

async fn form() -> Response {
    login_form(StatusCode::OK, None)
}

async fn log_in(State(app): State<AppState>, request: Request) -> Result<Response, Problem> {
    let peer = peer(request.extensions()).to_string();
    app.failures().check(&peer, Instant::now()).map_err(too_many)?;
    let form = Form::<Fields>::from_request(request, &()).await;
    let Form(fields) = form.map_err(|rejection| Problem::usage(rejection.body_text()))?;
    let secret = Secret::typed(&fields.secret);
    let state = app.clone();
    let made = app.write(move |store| match state.keyring().log_in(store, &secret) {
        Ok(session) => Ok(Some(session)),
        Err(LoginError::Wrong) => {
            state.keyring().note_wrong_code(store)?;
            Ok(None)
        }
        Err(LoginError::Other(problem)) => Err(problem),
    });
    let Some(session) = made.await? else {
        // An empty bucket refuses the next try.
        let _ = app.failures().take(&peer, Instant::now());
        let wrong = "This code or token is not valid: it is mistyped, was used before, or is older than ten minutes.";
        return Ok(login_form(StatusCode::UNAUTHORIZED, Some(wrong)));
    };
    let cookie = set_cookie(&app, &session.text, app.keyring().session_seconds())?;
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response())
}

async fn log_out(State(app): State<AppState>, Extension(identity): Extension<Identity>) -> Result<Response, Problem> {
    if identity.kind == TokenKind::Session {
        let hash = identity.hash.clone();
        app.write(move |store| Ok(store.revoke_token(&hash, Timestamp::now())?)).await?;
        app.keyring().forget(&identity.hash);
    }
    let cookie = set_cookie(&app, "", 0)?;
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/login")).into_response())
}

fn set_cookie(app: &AppState, value: &str, seconds: i64) -> Result<HeaderValue, Problem> {
    let secure = if app.hosts().is_https() { "; Secure" } else { "" };
    let text = format!("{}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}", app.cookie());
    HeaderValue::try_from(text).map_err(|error| Problem::internal("the session", &error))
}
