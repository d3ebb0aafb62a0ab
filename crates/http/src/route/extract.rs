//! Parts of a request, refused as problems.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::problem::Problem;
use stepwell_base::json::{self, DEPTH, Limit};

/// A JSON body of up to 1 MiB.
pub struct Body<T>(pub T);

/// A JSON body of up to this many bytes. Its route must allow them, too: [`Route::takes`](super::Route::takes).
pub struct BodyOf<T, const BYTES: u64>(pub T);

/// The parameters of the path.
pub struct PathOf<T>(pub T);

/// The parameters of the query.
pub struct QueryOf<T>(pub T);

/// Bytes of a usual body.
const USUAL: u64 = 1 << 20;

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Body<T>, Problem> {
        let hint = "let a step fan out with `for_each` instead of writing each step";
        read(request, state, (USUAL, hint)).await.map(Body)
    }
}

impl<T: DeserializeOwned, S: Send + Sync, const BYTES: u64> FromRequest<S> for BodyOf<T, BYTES> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<BodyOf<T, BYTES>, Problem> {
        read(request, state, (BYTES, "upload a file of requests to `/v1/files`")).await.map(BodyOf)
    }
}

async fn read<T: DeserializeOwned, S: Send + Sync>(
    request: Request,
    state: &S,
    (most, hint): (u64, &str),
) -> Result<T, Problem> {
    let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_json = media_type.is_some_and(|value| {
        value.split(';').next().is_some_and(|value| value.trim().eq_ignore_ascii_case("application/json"))
    });
    let bytes = Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let detail = format!("the body has more than {} MiB", most >> 20);
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail).hint(hint)
        }
        _ => Problem::usage(rejection.body_text()),
    })?;
    // An action without details needs no body.
    let bytes = if bytes.is_empty() { Bytes::from_static(b"{}") } else { bytes };
    if !is_json && bytes.as_ref() != b"{}" {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "usage",
            "the body has no `Content-Type: application/json`",
        ));
    }
    let parsed = json::parse(&bytes, Limit { depth: DEPTH, bytes: most });
    parsed.map_err(|error| Problem::usage(format!("the body cannot be read: {error}")))
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for PathOf<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<PathOf<T>, Problem> {
        let parsed = Path::<T>::from_request_parts(parts, state).await;
        parsed
            .map(|Path(value)| PathOf(value))
            .map_err(|rejection: PathRejection| Problem::usage(rejection.body_text()))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for QueryOf<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<QueryOf<T>, Problem> {
        let parsed = Query::<T>::from_request_parts(parts, state).await;
        parsed
            .map(|Query(value)| QueryOf(value))
            .map_err(|rejection: QueryRejection| Problem::usage(rejection.body_text()))
    }
}
