//! Tokens, sessions and login codes, for administrators.

use axum::Json;
use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::guard::{CODE_LASTS, IssueError, issue_code, issue_token};
use crate::problem::Problem;
use crate::route::{Access, Body, Doc, PathOf, Route};
use crate::state::AppState;
use stepwell_base::duration;
use stepwell_base::names::check_label;
use stepwell_base::scope::Scope;
use stepwell_store::{Reader, TokenKind, TokenRow};

pub fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "/api/v1/tokens",
            Access::ADMIN,
            list,
            Doc::new("tokens", "Lists the tokens and sessions that work").returns::<TokenList>(),
        ),
        Route::post(
            "/api/v1/tokens",
            Access::ADMIN,
            create,
            Doc::new("tokens", "Makes a token, which only this answer holds")
                .body::<TokenBody>()
                .returns::<NewTokenForm>(),
        ),
        Route::delete(
            "/api/v1/tokens/{token}",
            Access::ADMIN,
            revoke,
            Doc::new("tokens", "Revokes a token, or ends a session").returns::<TokenList>(),
        ),
        Route::post(
            "/api/v1/codes",
            Access::ADMIN,
            code,
            Doc::new("tokens", "Makes a code that logs one browser in").returns::<NewTokenForm>(),
        ),
    ]
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenBody {
    name: String,
    /// `read`, `infer`, `run` or `admin`.
    scope: String,
    /// Time after which it no longer works, such as `30d`.
    expires: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct TokenList {
    tokens: Vec<TokenForm>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct TokenForm {
    id: String,
    /// `token` or `session`.
    kind: &'static str,
    name: String,
    scope: &'static str,
    created_at: String,
    /// Last use, to the hour.
    used_at: Option<String>,
    expires_at: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct NewTokenForm {
    name: String,
    scope: &'static str,
    secret: String,
    expires_at: Option<String>,
}

async fn list(State(app): State<AppState>) -> Result<Json<TokenList>, Problem> {
    app.read(tokens).await
}

fn tokens(reader: &Reader) -> Result<Json<TokenList>, Problem> {
    let tokens = working(reader)?.into_iter().map(|row| TokenForm {
        id: row.id().to_owned(),
        kind: row.kind.as_str(),
        name: row.name.clone(),
        scope: row.scope.as_str(),
        created_at: row.created_at.to_string(),
        used_at: row.used_at.map(|at| at.to_string()),
        expires_at: row.expires_at.map(|at| at.to_string()),
    });
    Ok(Json(TokenList { tokens: tokens.collect() }))
}

fn working(reader: &Reader) -> Result<Vec<TokenRow>, Problem> {
    let mut rows = reader.tokens(TokenKind::Token)?;
    rows.extend(reader.tokens(TokenKind::Session)?);
    let now = Timestamp::now();
    rows.retain(|row| row.is_valid(now));
    Ok(rows)
}

async fn create(State(app): State<AppState>, Body(body): Body<TokenBody>) -> Result<Json<NewTokenForm>, Problem> {
    check_label(&body.name).map_err(|error| Problem::usage(format!("`name`: {error}")))?;
    let scope: Scope = body.scope.parse().map_err(|error| Problem::usage(format!("`scope`: {error}")))?;
    let lasts = |text: String| {
        let found = duration::parse(&text).and_then(|lasts| SignedDuration::try_from(lasts).ok());
        let until = found.and_then(|lasts| Timestamp::now().checked_add(lasts).ok());
        until.ok_or_else(|| Problem::usage("`expires` is not a duration such as `30d`"))
    };
    let expires_at = body.expires.map(lasts).transpose()?;
    app.write(move |store| {
        let mut known = working(store.reader())?.into_iter();
        if known.any(|row| row.kind == TokenKind::Token && row.name == body.name) {
            return Err(Problem::usage(format!("there is a token `{}` already", body.name)).hint("choose another name"));
        }
        let secret = issue_token(store, &body.name, scope, expires_at)?.text;
        let expires_at = expires_at.map(|at| at.to_string());
        Ok(Json(NewTokenForm { name: body.name, scope: scope.as_str(), secret, expires_at }))
    })
    .await
}

async fn code(State(app): State<AppState>) -> Result<Json<NewTokenForm>, Problem> {
    app.write(|store| {
        let secret = issue_code(store, "browser", Scope::Admin)?.text;
        let expires_at = Some((Timestamp::now() + CODE_LASTS).to_string());
        Ok(Json(NewTokenForm { name: "browser".to_owned(), scope: Scope::Admin.as_str(), secret, expires_at }))
    })
    .await
}

async fn revoke(State(app): State<AppState>, PathOf(token): PathOf<String>) -> Result<Json<TokenList>, Problem> {
    let state = app.clone();
    app.write(move |store| {
        // A name also stands for the browsers that logged in with the token.
        let chosen = |row: &TokenRow| row.id() == token || row.name == token;
        let chosen: Vec<TokenRow> = working(store.reader())?.into_iter().filter(chosen).collect();
        if chosen.is_empty() {
            return Err(Problem::not_found("there is no such token that works").hint("`GET /api/v1/tokens` lists them"));
        }
        for row in chosen {
            store.revoke_token(&row.hash, Timestamp::now())?;
            state.keyring().forget(&row.hash);
        }
        tokens(store.reader())
    })
    .await
}

impl From<IssueError> for Problem {
    fn from(error: IssueError) -> Problem {
        match error {
            IssueError::Store(error) => error.into(),
            other => Problem::internal("making a token", &other),
        }
    }
}
