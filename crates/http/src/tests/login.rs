//! Browsers log in with a code, once.

use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use jiff::{SignedDuration, Timestamp};

use super::fixture::{Lab, ORIGIN, request};
use crate::guard::Secret;
use stepwell_base::scope::Scope;
use stepwell_store::{TokenKind, TokenRow};

fn post(lab: &Lab, secret: &str) -> Response<Body> {
    let form = request("POST", "/login")
        .header(header::ORIGIN, ORIGIN)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    lab.send(form.body(Body::from(format!("secret={secret}"))).unwrap())
}

/// Logs in with a new code; returns the cookie as a browser sends it.
pub fn log_in(lab: &Lab) -> String {
    cookie(&post(lab, &lab.code()))
}

fn cookie(answer: &Response<Body>) -> String {
    let cookie = answer.headers().get(header::SET_COOKIE).expect("a cookie").to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

#[test]
fn a_code_works_once_and_gives_a_strict_cookie() {
    let lab = Lab::new();
    let code = lab.code();
    let answer = post(&lab, &code.to_lowercase());
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    let set = answer.headers().get(header::SET_COOKIE).unwrap().to_str().unwrap();
    assert!(set.starts_with("stepwell-7878=") && set.contains("HttpOnly") && set.contains("SameSite=Strict"), "{set}");
    assert!(!set.contains("Secure"), "{set}");
    let page = |cookie: &str| {
        let request = request("GET", "/runs").header(header::COOKIE, cookie).header(header::ACCEPT, "text/html");
        lab.send(request.body(Body::empty()).unwrap())
    };
    assert_eq!(page(&cookie(&answer)).status(), StatusCode::OK);
    let again = post(&lab, &code);
    assert_eq!(again.status(), StatusCode::UNAUTHORIZED);
    assert!(again.headers().get(header::SET_COOKIE).is_none());
    let form = page("stepwell-7878=0000");
    assert_eq!(form.status(), StatusCode::UNAUTHORIZED);
    assert!(String::from_utf8(lab.body(form)).unwrap().contains("name=\"secret\""));
}

#[test]
fn a_token_for_models_logs_no_browser_in() {
    let lab = Lab::new();
    let answer = post(&lab, &lab.infer);
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert!(answer.headers().get(header::SET_COOKIE).is_none());
    // It was no wrong guess.
    assert!((0..10).all(|_| post(&lab, &lab.infer).status() == StatusCode::FORBIDDEN));
    assert_eq!(post(&lab, &lab.code()).status(), StatusCode::SEE_OTHER);
}

#[test]
fn a_token_logs_in_with_its_own_scope() {
    let lab = Lab::new();
    let cookie = cookie(&post(&lab, &lab.read));
    let pause = request("POST", "/api/v1/runs").header(header::COOKIE, &cookie).header(header::ORIGIN, ORIGIN);
    assert_eq!(lab.send(pause.body(Body::empty()).unwrap()).status(), StatusCode::FORBIDDEN);
    // A session is no token.
    let value = cookie.split_once('=').unwrap().1;
    assert_eq!(lab.get("/api/v1/runs", value).0, StatusCode::UNAUTHORIZED);
}

#[test]
fn guessing_ends_every_code() {
    let lab = Lab::new();
    let code = lab.code();
    for _ in 0..5 {
        assert_eq!(post(&lab, "AAAA-AAAA").status(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(post(&lab, &code).status(), StatusCode::UNAUTHORIZED);
    assert_eq!(post(&lab, &lab.code()).status(), StatusCode::SEE_OTHER);
    let many = (0..10).map(|_| post(&lab, "AAAA-AAAA").status());
    assert!(many.last() == Some(StatusCode::TOO_MANY_REQUESTS));
}

#[test]
fn an_old_code_and_an_old_session_do_not_work() {
    let lab = Lab::new();
    let now = Timestamp::now();
    let row = |kind, secret: &str, expires: Timestamp| TokenRow {
        hash: Secret::exact(secret).hash(),
        kind,
        name: "old".to_owned(),
        scope: Scope::Admin,
        created_at: now - SignedDuration::from_hours(1),
        expires_at: Some(expires),
        used_at: None,
        revoked_at: None,
    };
    let mut store = lab.store();
    let past = now - SignedDuration::from_secs(1);
    store.add_token(&row(TokenKind::Code, "OLDCODE2", past)).unwrap();
    store.add_token(&row(TokenKind::Session, "session", past)).unwrap();
    assert_eq!(post(&lab, "OLDCODE2").status(), StatusCode::UNAUTHORIZED);
    let read = request("GET", "/api/v1/runs").header(header::COOKIE, "stepwell-7878=session");
    assert_eq!(lab.send(read.body(Body::empty()).unwrap()).status(), StatusCode::UNAUTHORIZED);
}

#[test]
fn logging_out_ends_the_session() {
    let lab = Lab::new();
    let cookie = log_in(&lab);
    let out = request("POST", "/logout").header(header::COOKIE, &cookie).header(header::ORIGIN, ORIGIN);
    assert_eq!(lab.send(out.body(Body::empty()).unwrap()).status(), StatusCode::SEE_OTHER);
    let read = request("GET", "/api/v1/runs").header(header::COOKIE, &cookie).body(Body::empty()).unwrap();
    assert_eq!(lab.send(read).status(), StatusCode::UNAUTHORIZED);
}
