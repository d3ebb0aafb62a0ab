//! The outermost layer, around every route and around what is no route.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::credential::{credential, refuse_secrets_in};
use super::headers;
use super::identity::Identity;
use super::secret::Secret;
use crate::openai;
use crate::page::login_form;
use crate::problem::Problem;
use crate::route::{Access, Pace};
use crate::state::AppState;
use jiff::Timestamp;
use stepwell_store::TokenKind;

/// Longest time until an answer starts. A stream starts at once.
const LONGEST: Duration = Duration::from_secs(30);
/// Longest time for an upload, or until a model has answered.
const LONGEST_OF_LONG: Duration = Duration::from_mins(30);

/// Address of the other side, which the listener adds to every request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// Lets a request through if its host, its origin, and its token or session are allowed to use the route.
pub async fn guard(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let came = Instant::now();
    let (mut parts, body) = request.into_parts();
    let wants_page = wants_page(&parts);
    let is_openai = openai::is_ours(parts.uri.path());
    let (access, pace) = rules(&app, &parts);
    let longest = if pace == Pace::Long { LONGEST_OF_LONG } else { LONGEST };
    let mut response = match admit(&app, &mut parts, (access, pace)).await {
        Ok(()) => match tokio::time::timeout(longest, next.run(Request::from_parts(parts, body))).await {
            Ok(response) => response,
            Err(_) => {
                let detail = format!("the answer took longer than {} s", longest.as_secs());
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", detail)
                    .hint("ask for less at a time")
                    .into_response()
            }
        },
        Err(problem) if wants_page && problem.status() == StatusCode::UNAUTHORIZED => {
            login_form(StatusCode::UNAUTHORIZED, None)
        }
        Err(problem) => problem.into_response(),
    };
    if is_openai {
        response = openai::answered(response);
    }
    headers::add(response.headers_mut());
    app.traffic().note(response.status(), came.elapsed());
    response
}

/// Only the route that matched counts, never the text of the path.
fn rules(app: &AppState, request: &Parts) -> (Access, Pace) {
    match request.extensions.get::<MatchedPath>() {
        Some(path) => app.access(&request.method, path.as_str()),
        None => (Access::unknown(), Pace::Usual),
    }
}

async fn admit(app: &AppState, request: &mut Parts, (access, pace): (Access, Pace)) -> Result<(), Problem> {
    check_host(app, request)?;
    check_origin(app, &request.headers)?;
    refuse_secrets_in(&request.uri)?;
    let changes = changes(&request.method);
    match access {
        Access::Open if changes => return check_same_site(app, &request.headers),
        Access::Open => return Ok(()),
        Access::Needs(_) | Access::NeedsOne(_) => {}
    }
    let identity = identify(app, request).await?;
    if identity.kind == TokenKind::Session && changes {
        check_same_site(app, &request.headers)?;
    }
    if let ([needed, ..], false) = (access.scopes(), access.allows(identity.scope)) {
        let detail = format!("`{}` has the scope `{}`; this needs `{needed}`", identity.name, identity.scope);
        return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail)
            .hint(format!("`stepwell token create NAME` with `--scope {needed}` makes a token that may")));
    }
    if changes && pace == Pace::Usual {
        app.changes().take(&identity.hash, Instant::now()).map_err(too_many)?;
    }
    request.extensions.insert(identity);
    Ok(())
}

fn check_host(app: &AppState, request: &Parts) -> Result<(), Problem> {
    let mut named = request.headers.get_all(header::HOST).iter();
    let host = named.next().and_then(|host| host.to_str().ok());
    let is_ours = named.next().is_none()
        && host.is_some_and(|host| app.hosts().has(host))
        && request.uri.authority().is_none_or(|authority| app.hosts().has(authority.as_str()));
    if is_ours {
        return Ok(());
    }
    let detail = format!("`{}` is not a name of this server", host.unwrap_or_default());
    Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "misdirected", detail)
        .hint("use the address that `stepwell serve` prints, or start it with `--allow-host NAME`"))
}

/// A browser names the origin of the page that makes a request. Another one has nothing to ask here, by any method.
fn check_origin(app: &AppState, headers: &HeaderMap) -> Result<(), Problem> {
    let foreign = headers.get_all(header::ORIGIN).iter().any(|origin| !is_ours(app, origin));
    if foreign { Err(foreign_origin()) } else { Ok(()) }
}

/// A browser sends the cookie by itself, so a change must prove that a page of ours asked for it.
fn check_same_site(app: &AppState, headers: &HeaderMap) -> Result<(), Problem> {
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes() == b"same-origin");
    let origin = headers.get(header::ORIGIN).map(|origin| is_ours(app, origin));
    match (site, origin) {
        (Some(false), _) | (_, Some(false)) | (None, None) => Err(foreign_origin()),
        _ => Ok(()),
    }
}

fn is_ours(app: &AppState, origin: &axum::http::HeaderValue) -> bool {
    origin.to_str().is_ok_and(|origin| app.hosts().has_origin(origin))
}

fn foreign_origin() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "foreign_origin", "the request comes from a page of another site")
        .hint("scripts send `Authorization: Bearer TOKEN` and no `Origin`")
}

async fn identify(app: &AppState, request: &Parts) -> Result<Identity, Problem> {
    let Some((secret, kind)) = credential(&request.headers, app.cookie())? else {
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "this needs a token")
            .hint("send `Authorization: Bearer TOKEN`; `stepwell token create NAME` makes one"));
    };
    let found = match app.keyring().remembered(&secret, kind) {
        Some(found) => found,
        None => ask(app, secret, kind).await?,
    };
    match found {
        Some(identity) => Ok(identity),
        None => {
            app.failures().take(&peer(&request.extensions).to_string(), Instant::now()).map_err(too_many)?;
            Err(Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "the token or session is not valid")
                .hint("`stepwell token list` shows the tokens; a browser logs in again"))
        }
    }
}

async fn ask(app: &AppState, secret: Secret, kind: TokenKind) -> Result<Option<Identity>, Problem> {
    let keyring = app.clone();
    let found = app.read(move |reader| keyring.keyring().look_up(reader, &secret, kind)).await?;
    if let Some(known) = found.as_ref().filter(|known| known.is_stale) {
        let hash = known.identity.hash.clone();
        // The request does not depend on it.
        let _ = app.write(move |store| Ok(store.note_use_of_token(&hash, Timestamp::now())?)).await;
    }
    Ok(found.map(|known| known.identity))
}

/// The address that failures count for.
pub fn peer(extensions: &Extensions) -> IpAddr {
    extensions.get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Peer(address)| address.ip())
}

pub fn too_many(wait: Duration) -> Problem {
    let seconds = wait.as_secs() + 1;
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "too many requests")
        .hint(format!("try again in {seconds} s"))
        .retry_after(seconds)
}

fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn wants_page(request: &Parts) -> bool {
    let accepts = request.headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    request.method == Method::GET
        && !request.uri.path().starts_with("/api/")
        && !openai::is_ours(request.uri.path())
        && accepts.is_some_and(|accept| accept.contains("text/html"))
}
