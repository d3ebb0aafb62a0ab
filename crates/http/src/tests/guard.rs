//! Sessions, limits and rates.

use axum::body::Body;
use axum::http::{StatusCode, header};
use jiff::Timestamp;
use serde_json::json;

use super::fixture::{HOST, Lab, ORIGIN, bearer, request};
use crate::guard::Secret;

#[test]
fn a_revoked_token_no_longer_works() {
    let lab = Lab::new();
    assert_eq!(lab.get("/api/v1/runs", &lab.read).0, StatusCode::OK);
    lab.store().revoke_token(&Secret::exact(&lab.read).hash(), Timestamp::now()).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(lab.get("/api/v1/runs", &lab.read).0, StatusCode::UNAUTHORIZED);
}

#[test]
fn a_token_that_an_administrator_revokes_stops_at_once() {
    let lab = Lab::new();
    let (status, made) = lab.post("/api/v1/tokens", &lab.admin, json!({ "name": "ci", "scope": "run" }));
    assert_eq!(status, StatusCode::OK, "{made}");
    let secret = made["secret"].as_str().unwrap();
    assert_eq!(lab.get("/api/v1/runs", secret).0, StatusCode::OK);
    let delete = request("DELETE", "/api/v1/tokens/ci").header(header::AUTHORIZATION, bearer(&lab.admin));
    assert_eq!(lab.send(delete.body(Body::empty()).unwrap()).status(), StatusCode::OK);
    assert_eq!(lab.get("/api/v1/runs", secret).0, StatusCode::UNAUTHORIZED);
    let (_, listed) = lab.get("/api/v1/tokens", &lab.admin);
    assert!(!listed.to_string().contains("swt_") && !listed.to_string().contains("\"ci\""), "{listed}");
}

#[test]
fn a_token_for_models_is_made_and_listed_under_its_name_and_scope() {
    let lab = Lab::new();
    let (status, made) = lab.post("/api/v1/tokens", &lab.admin, json!({ "name": "app", "scope": "infer" }));
    assert_eq!((status, &made["scope"]), (StatusCode::OK, &json!("infer")), "{made}");
    let secret = made["secret"].as_str().unwrap();
    assert_eq!(lab.get("/v1/models", secret).0, StatusCode::OK);
    let (status, refused) = lab.get("/api/v1/runs", secret);
    assert_eq!(status, StatusCode::FORBIDDEN, "{refused}");
    let (_, listed) = lab.get("/api/v1/tokens", &lab.admin);
    let app = listed["tokens"].as_array().unwrap().iter().find(|token| token["name"] == "app").unwrap();
    assert_eq!(app["scope"], "infer");
}

#[test]
fn two_hosts_in_one_request_are_refused() {
    let lab = Lab::new();
    let two = request("GET", "/healthz").header(header::HOST, "evil.test").body(Body::empty()).unwrap();
    assert_eq!(lab.send(two).status(), StatusCode::MISDIRECTED_REQUEST);
    let absolute = axum::http::Request::builder().uri("http://evil.test/healthz").header(header::HOST, HOST);
    assert_eq!(lab.send(absolute.body(Body::empty()).unwrap()).status(), StatusCode::MISDIRECTED_REQUEST);
    let none = axum::http::Request::builder().uri("/healthz").body(Body::empty()).unwrap();
    assert_eq!(lab.send(none).status(), StatusCode::MISDIRECTED_REQUEST);
}

#[test]
fn a_large_or_deep_body_is_refused() {
    let lab = Lab::new();
    let (status, problem) = lab.post("/api/v1/runs", &lab.run, json!({ "text": "x".repeat(2 << 20) }));
    assert_eq!((status, &problem["code"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!("too_large")));
    let deep = "[".repeat(100) + &"]".repeat(100);
    let body = format!("{{\"workflow\":\"w\",\"params\":{{\"a\":{deep}}}}}");
    let deep = request("POST", "/api/v1/runs")
        .header(header::AUTHORIZATION, bearer(&lab.run))
        .header(header::CONTENT_TYPE, "application/json");
    let (status, problem) = lab.json(deep.body(Body::from(body)).unwrap());
    assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("64"), "{problem}");
}

#[test]
fn unknown_fields_and_media_types_are_refused() {
    let lab = Lab::new();
    let (status, problem) = lab.post("/api/v1/runs", &lab.run, json!({ "workflow": "w", "nmae": "x" }));
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(problem["detail"].as_str().unwrap().contains("nmae"), "{problem}");
    assert_eq!(lab.get("/api/v1/runs?statsu=failed", &lab.read).0, StatusCode::BAD_REQUEST);
    let form = request("POST", "/api/v1/runs")
        .header(header::AUTHORIZATION, bearer(&lab.run))
        .header(header::CONTENT_TYPE, "text/plain");
    let status = lab.send(form.body(Body::from("{\"workflow\":\"w\"}")).unwrap()).status();
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(lab.desk.asked.lock().unwrap().is_empty());
}

#[test]
fn changes_have_a_rate_and_reading_has_none() {
    let lab = Lab::new();
    let run = lab.submit("r").to_string();
    let pause = || lab.post(&format!("/api/v1/runs/{run}/pause"), &lab.run, json!({})).0;
    let refused = (0..150).map(|_| pause()).filter(|status| *status == StatusCode::TOO_MANY_REQUESTS).count();
    assert!(refused > 10, "{refused}");
    assert!((0..300).all(|_| lab.get("/api/v1/runs", &lab.run).0 == StatusCode::OK));
    // Another identity has its own.
    assert_eq!(lab.post(&format!("/api/v1/runs/{run}/pause"), &lab.admin, json!({})).0, StatusCode::OK);
}

#[test]
fn a_session_must_come_from_our_own_page() {
    let lab = Lab::new();
    let cookie = super::login::log_in(&lab);
    let run = lab.submit("r").to_string();
    let pause = |headers: &[(&str, &str)]| {
        let mut request = request("POST", &format!("/api/v1/runs/{run}/pause")).header(header::COOKIE, &cookie);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        lab.send(request.body(Body::empty()).unwrap()).status()
    };
    assert_eq!(pause(&[]), StatusCode::FORBIDDEN);
    assert_eq!(pause(&[("sec-fetch-site", "cross-site")]), StatusCode::FORBIDDEN);
    assert_eq!(pause(&[("sec-fetch-site", "same-site"), ("origin", ORIGIN)]), StatusCode::FORBIDDEN);
    assert_eq!(pause(&[("origin", "http://evil.test")]), StatusCode::FORBIDDEN);
    assert_eq!(pause(&[("origin", ORIGIN)]), StatusCode::OK);
    assert_eq!(pause(&[("sec-fetch-site", "same-origin")]), StatusCode::OK);
    let read = request("GET", "/api/v1/runs").header(header::COOKIE, &cookie).body(Body::empty()).unwrap();
    assert_eq!(lab.send(read).status(), StatusCode::OK);
}
