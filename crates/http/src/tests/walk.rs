//! Every route of the table, with everything that must not get in.

use axum::body::Body;
use axum::http::{Method, StatusCode, header};

use super::fixture::{Lab, bearer, request};
use crate::route::{Access, Route};
use crate::table::routes;
use stepwell_base::scope::Scope;

/// Paths that everybody may ask for. A new one is a decision, so it stands here as well.
const OPEN: [(&str, &str); 5] =
    [("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/login"), ("POST", "/login"), ("GET", "/assets/{name}")];

/// The path of a route with something in place of its parameters.
fn path(route: &Route) -> String {
    let part = |part: &str| if part.starts_with('{') { "x".to_owned() } else { part.to_owned() };
    route.path.split('/').map(part).collect::<Vec<_>>().join("/")
}

fn is_refusal(status: StatusCode) -> bool {
    [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::MISDIRECTED_REQUEST].contains(&status)
}

#[test]
fn only_these_routes_are_open() {
    let open: Vec<(String, &str)> = routes()
        .iter()
        .filter(|route| route.access == Access::Open)
        .map(|route| (route.method.to_string(), route.path))
        .collect();
    let open: Vec<(&str, &str)> = open.iter().map(|(method, path)| (method.as_str(), *path)).collect();
    assert_eq!(open, OPEN);
}

#[test]
fn no_route_answers_without_a_token() {
    let lab = Lab::new();
    for route in routes().iter().filter(|route| route.access != Access::Open) {
        let answer = lab.send(request(route.method.as_str(), &path(route)).body(Body::empty()).unwrap());
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{} {}", route.method, route.path);
        for wrong in ["Bearer swt_0000", "Basic YTpi", "Bearer ", "nonsense"] {
            let request = request(route.method.as_str(), &path(route)).header(header::AUTHORIZATION, wrong);
            let status = lab.send(request.body(Body::empty()).unwrap()).status();
            let refused = [StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS].contains(&status);
            assert!(refused, "{} {} with `{wrong}`: {status}", route.method, route.path);
        }
    }
}

#[test]
fn no_route_answers_a_smaller_scope() {
    let lab = Lab::new();
    for route in routes() {
        let smaller = match route.access {
            Access::Needs(Scope::Read) => vec![&lab.infer],
            Access::Needs(Scope::Infer) => vec![&lab.read],
            Access::Needs(Scope::Run) => vec![&lab.read, &lab.infer],
            Access::Needs(Scope::Admin) => vec![&lab.read, &lab.infer, &lab.run],
            Access::NeedsOne(_) | Access::Open => vec![],
        };
        for token in smaller {
            let request = request(route.method.as_str(), &path(&route)).header(header::AUTHORIZATION, bearer(token));
            let status = lab.send(request.body(Body::empty()).unwrap()).status();
            assert_eq!(status, StatusCode::FORBIDDEN, "{} {}", route.method, route.path);
        }
    }
    assert!(lab.desk.asked.lock().unwrap().is_empty());
}

/// A token for programs that ask models: all of OpenAI's API, and nothing else.
#[test]
fn a_token_for_models_uses_the_routes_of_openai_only() {
    let lab = Lab::new();
    for route in routes().iter().filter(|route| route.access != Access::Open) {
        let request = request(route.method.as_str(), &path(route)).header(header::AUTHORIZATION, bearer(&lab.infer));
        let status = lab.send(request.body(Body::empty()).unwrap()).status();
        let is_openai = ["/v1/", "/start", "/status/"].iter().any(|start| route.path.starts_with(start));
        assert_eq!(status != StatusCode::FORBIDDEN, is_openai, "{} {}: {status}", route.method, route.path);
    }
    assert!(lab.desk.asked.lock().unwrap().is_empty());
}

#[test]
fn every_change_needs_more_than_reading() {
    for route in routes() {
        let changes = ![Method::GET, Method::HEAD].contains(&route.method);
        if changes && !["/login", "/logout"].contains(&route.path) {
            let more = [Access::INFER, Access::RUN, Access::ADMIN];
            assert!(more.contains(&route.access), "{} {}", route.method, route.path);
        }
    }
}

#[test]
fn no_route_answers_under_a_foreign_host() {
    let lab = Lab::new();
    for route in routes() {
        for host in ["evil.test", "evil.test:7878", "127.0.0.1", "127.0.0.1:7878.evil.test"] {
            let request = axum::http::Request::builder()
                .method(route.method.clone())
                .uri(path(&route))
                .header(header::HOST, host)
                .header(header::AUTHORIZATION, bearer(&lab.admin));
            let status = lab.send(request.body(Body::empty()).unwrap()).status();
            assert_eq!(status, StatusCode::MISDIRECTED_REQUEST, "{} {} at {host}", route.method, route.path);
        }
    }
}

#[test]
fn no_route_answers_a_page_of_another_site() {
    let lab = Lab::new();
    for route in routes() {
        for origin in ["http://evil.test", "null", "http://127.0.0.1:1", "https://evil.test:7878"] {
            let request = request(route.method.as_str(), &path(&route))
                .header(header::ORIGIN, origin)
                .header(header::AUTHORIZATION, bearer(&lab.admin));
            let status = lab.send(request.body(Body::empty()).unwrap()).status();
            assert_eq!(status, StatusCode::FORBIDDEN, "{} {} from {origin}", route.method, route.path);
        }
    }
    assert!(lab.desk.asked.lock().unwrap().is_empty());
}

#[test]
fn every_route_refuses_a_secret_in_its_address() {
    let lab = Lab::new();
    for route in routes() {
        let address = format!("{}?token={}", path(&route), lab.admin);
        let plain = lab.send(request(route.method.as_str(), &address).body(Body::empty()).unwrap()).status();
        assert_eq!(plain, StatusCode::BAD_REQUEST, "{} {}", route.method, route.path);
    }
}

#[test]
fn what_is_no_route_needs_a_token_too() {
    let lab = Lab::new();
    for address in [
        "/nothing",
        "/api/v1/nothing",
        "/api/v1/runs/x%2fhealthz",
        "/api/v1/runs/x/healthz",
        "/healthz/",
        "/x/readyz",
        "/assets/../healthz/x",
        "/assets/..%2f..%2fetc%2fpasswd/x",
        "//healthz",
        "/login/x",
    ] {
        let status = lab.send(request("GET", address).body(Body::empty()).unwrap()).status();
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{address}");
    }
    for method in ["DELETE", "PUT", "OPTIONS", "TRACE", "PROPFIND"] {
        let status = lab.send(request(method, "/healthz").body(Body::empty()).unwrap()).status();
        assert!(is_refusal(status), "{method} /healthz: {status}");
    }
}

#[test]
fn every_answer_has_the_headers_of_security() {
    let lab = Lab::new();
    for address in ["/healthz", "/", "/login", "/assets/login.css", "/nothing", "/api/v1/runs"] {
        for token in [None, Some(&lab.admin)] {
            let mut request = request("GET", address);
            if let Some(token) = token {
                request = request.header(header::AUTHORIZATION, bearer(token));
            }
            let answer = lab.send(request.body(Body::empty()).unwrap());
            let policy = answer.headers().get(header::CONTENT_SECURITY_POLICY).map(|policy| policy.to_str().unwrap());
            assert!(
                policy.is_some_and(|policy| policy.starts_with("default-src 'none'") && !policy.contains("unsafe"))
            );
            for name in ["x-content-type-options", "referrer-policy", "cross-origin-opener-policy", "cache-control"] {
                assert!(answer.headers().contains_key(name), "{address}: {name}");
            }
            assert!(!answer.headers().contains_key("access-control-allow-origin"));
        }
    }
}
