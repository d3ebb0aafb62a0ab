//! `GET /`: the start of the page.

use axum::response::Html;

use crate::route::{Access, Doc, Route};

pub fn routes() -> Vec<Route> {
    vec![Route::get("/", Access::READ, home, Doc::new("page", "Shows the page"))]
}

async fn home() -> Html<&'static str> {
    Html(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Stepwell</title>\n</head>\n<body>\n</body>\n</html>\n",
    )
}
