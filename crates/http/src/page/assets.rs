//! `GET /assets/{name}`: the files of the page, which are part of the program.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::problem::Problem;
use crate::route::{Access, Doc, PathOf, Route};

/// A file, with its media type.
struct Asset {
    name: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
}

/// Every file of the page. A name is a whole name, never a path.
const ASSETS: &[Asset] =
    &[Asset { name: "login.css", media_type: CSS, bytes: include_bytes!("../../assets/login.css") }];

const CSS: &str = "text/css; charset=utf-8";

pub fn routes() -> Vec<Route> {
    vec![Route::get("/assets/{name}", Access::Open, asset, Doc::new("page", "Returns a file of the page"))]
}

async fn asset(PathOf(name): PathOf<String>, headers: HeaderMap) -> Result<Response, Problem> {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return Err(Problem::not_found("there is no such file"));
    };
    let tag = etag(asset.bytes);
    let caching = [
        (header::ETAG, HeaderValue::try_from(&tag).map_err(|error| Problem::internal("the file", &error))?),
        // The name stays when the program changes, so the browser asks each time; an answer without a body is cheap.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    let known = headers.get(header::IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    if known.is_some_and(|known| known.split(',').any(|known| known.trim() == tag)) {
        return Ok((StatusCode::NOT_MODIFIED, caching).into_response());
    }
    let media_type = [(header::CONTENT_TYPE, HeaderValue::from_static(asset.media_type))];
    Ok((caching, media_type, asset.bytes).into_response())
}

fn etag(bytes: &[u8]) -> String {
    let hash = blake3::hash(bytes).to_hex();
    format!("\"{}\"", &hash[..16])
}
