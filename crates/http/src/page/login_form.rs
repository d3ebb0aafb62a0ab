//! The form that a browser without a session sees.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// The login form. `wrong` says what was wrong with the last try; it is text of this program, never of a request.
pub fn login_form(status: StatusCode, wrong: Option<&'static str>) -> Response {
    let wrong = wrong.map_or_else(String::new, |wrong| format!("<p role=\"alert\">{wrong}</p>\n"));
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Log in - Stepwell</title>\n\
         <link rel=\"stylesheet\" href=\"/assets/login.css\">\n</head>\n<body>\n<main>\n<h1>Stepwell</h1>\n{wrong}\
         <form method=\"post\" action=\"/login\">\n\
         <label for=\"secret\">Login code or token</label>\n\
         <input id=\"secret\" name=\"secret\" type=\"password\" autocomplete=\"off\" autocapitalize=\"characters\" \
         spellcheck=\"false\" required autofocus maxlength=\"200\">\n<button>Log in</button>\n</form>\n\
         <p><code>stepwell serve</code> prints a code when it starts. <code>stepwell token code</code> makes another one.</p>\n\
         </main>\n</body>\n</html>\n"
    );
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    (status, [(header::CONTENT_TYPE, html)], page).into_response()
}
