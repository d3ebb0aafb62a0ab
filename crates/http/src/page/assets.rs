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

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// One style sheet, so that a page is painted after one request.
const STYLE: &str = concat!(
    include_str!("../../assets/css/base.css"),
    include_str!("../../assets/css/layout.css"),
    include_str!("../../assets/css/controls.css"),
    include_str!("../../assets/css/tables.css"),
    include_str!("../../assets/css/run.css"),
    include_str!("../../assets/css/chart.css"),
    include_str!("../../assets/css/log.css"),
    include_str!("../../assets/css/form.css"),
    include_str!("../../assets/css/model.css"),
);

macro_rules! files {
    ($($folder:literal $name:literal $media_type:ident),+ $(,)?) => {
        &[
            Asset { name: "page.css", media_type: CSS, bytes: STYLE.as_bytes() },
            $(Asset {
                name: $name,
                media_type: $media_type,
                bytes: include_bytes!(concat!("../../assets/", $folder, $name)),
            }),+
        ]
    };
}

/// Every file of the page. A name is a whole name, never a path.
const ASSETS: &[Asset] = files![
    "" "icon.svg" SVG,
    "js/" "answers.js" SCRIPT,
    "js/" "chart.js" SCRIPT,
    "js/" "curves.js" SCRIPT,
    "js/" "editor.js" SCRIPT,
    "js/" "filters.js" SCRIPT,
    "js/" "live-worker.js" SCRIPT,
    "js/" "live.js" SCRIPT,
    "js/" "logs.js" SCRIPT,
    "js/" "metrics.js" SCRIPT,
    "js/" "morph.js" SCRIPT,
    "js/" "page.js" SCRIPT,
    "js/" "playground.js" SCRIPT,
    "js/" "series.js" SCRIPT,
    "js/" "stream.js" SCRIPT,
    "js/" "theme.js" SCRIPT,
    "vendor/" "htmx.min.js" SCRIPT,
    "vendor/" "uPlot.iife.min.js" SCRIPT,
    "vendor/" "uPlot.min.css" CSS,
];

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
