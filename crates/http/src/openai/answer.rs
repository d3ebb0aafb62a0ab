//! Gives answers the form that OpenAI's clients expect: errors as `{"error": {...}}`, and an id of the request.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::json;
use uuid::Uuid;

use crate::problem::Problem;

/// The id that clients show with an error.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// True for the paths that OpenAI's clients use. It decides only the form of refusals.
pub fn is_ours(path: &str) -> bool {
    path.starts_with("/v1/") || path == "/v1" || path == "/start" || path.starts_with("/status/")
}

/// The answer with its id; a refusal in the form of OpenAI.
pub fn answered(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let body = match parts.extensions.remove::<Problem>() {
        Some(problem) => {
            let status = status(problem.status());
            parts.status = status;
            parts.headers.remove(header::CONTENT_LENGTH);
            parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            Body::from(form(status, &problem).to_string())
        }
        None => body,
    };
    if let Ok(id) = HeaderValue::try_from(format!("req_{}", Uuid::now_v7().simple())) {
        parts.headers.insert(REQUEST_ID, id);
    }
    Response::from_parts(parts, body)
}

/// The client repeats a request that was answered with 408 or 409 by itself. No refusal of ours is worth that.
fn status(status: StatusCode) -> StatusCode {
    match status {
        StatusCode::CONFLICT | StatusCode::REQUEST_TIMEOUT => StatusCode::BAD_REQUEST,
        status => status,
    }
}

fn form(status: StatusCode, problem: &Problem) -> serde_json::Value {
    let kind = match status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::NOT_FOUND => "not_found_error",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        status if status.is_server_error() => "server_error",
        _ => "invalid_request_error",
    };
    let message = match problem.hint_text() {
        Some(hint) => format!("{}: {hint}", problem.detail()),
        None => problem.detail().to_owned(),
    };
    json!({ "error": { "message": message, "type": kind, "param": problem.param(), "code": problem.code() } })
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    #[test]
    fn a_permanent_refusal_is_never_one_that_the_client_repeats() {
        for status in [StatusCode::CONFLICT, StatusCode::REQUEST_TIMEOUT] {
            let refusal = Problem::new(status, "refused", "no").into_response();
            assert_eq!(answered(refusal).status(), StatusCode::BAD_REQUEST);
        }
        let full = Problem::new(StatusCode::TOO_MANY_REQUESTS, "queue_full", "full").retry_after(7).into_response();
        let full = answered(full);
        assert_eq!(full.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(full.headers()[header::RETRY_AFTER], "7");
        assert!(full.headers()[REQUEST_ID].to_str().unwrap().starts_with("req_"));
    }

    #[test]
    fn only_the_paths_of_the_client_have_its_form() {
        for path in ["/v1/files", "/v1", "/v1/", "/start", "/status/x"] {
            assert!(is_ours(path), "{path}");
        }
        for path in ["/api/v1/runs", "/v10/files", "/starter", "/", "/healthz"] {
            assert!(!is_ours(path), "{path}");
        }
    }
}
