//! Batches on the page, and a form that starts one.

use axum::body::Body;
use axum::http::{StatusCode, header};
use serde_json::json;

use super::served::{BOUNDARY, End, create, end, form, line, lines, look, part, run_of, show};
use crate::tests::fixture::{Lab, bearer, request};

fn page(lab: &Lab, path: &str) -> String {
    let request = request("GET", path).header(header::AUTHORIZATION, bearer(&lab.read)).body(Body::empty()).unwrap();
    let answer = lab.send(request);
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    String::from_utf8(lab.body(answer)).unwrap()
}

/// Sends the form of the page; returns the status and where it leads.
fn send(lab: &Lab, token: &str, parts: &[String]) -> (StatusCode, String) {
    let request = request("POST", "/batches")
        .header(header::AUTHORIZATION, bearer(token))
        .header(header::CONTENT_TYPE, format!("multipart/form-data; boundary={BOUNDARY}"));
    let answer = lab.send(request.body(Body::from(form(parts))).unwrap());
    let to = answer.headers().get(header::LOCATION).map(|to| to.to_str().unwrap().to_owned());
    (answer.status(), to.unwrap_or_default())
}

#[test]
fn a_batch_is_shown_from_its_start_to_its_end() {
    let lab = Lab::new();
    let batch = create(&lab, 3);
    let id = batch["id"].as_str().unwrap();
    let path = format!("/batches/{id}");
    assert!(page(&lab, "/batches").contains("validating"));
    assert!(page(&lab, &path).contains("data-due"));
    look(&lab);
    look(&lab);
    let (list, one) = (page(&lab, "/batches"), page(&lab, &path));
    assert!(list.contains("in progress") && list.contains("in.jsonl") && list.contains("0 of 3"), "{list}");
    assert!(one.contains("its run"), "{one}");
    let errors = json!({ "custom_id": "r2", "response": { "body": { "error": { "code": "invalid_value",
        "message": "`n` is <b>large</b>" } } }, "error": null });
    let output = json!({ "custom_id": "r0", "response": { "body": { "choices": [{ "text": "a <i>", "finish_reason": "stop" }] } } });
    let run = run_of(&lab, id).unwrap();
    end(
        &lab,
        run,
        End::Succeeds { output: format!("{output}\n"), errors: format!("{errors}\n"), completed: 2, failed: 1 },
    );
    look(&lab);
    let one = page(&lab, &path);
    for text in ["completed", "3 of 3", "invalid_value", "is &#60;b&#62;large", "a &#60;i&#62;", "its run"] {
        assert!(one.contains(text), "no {text} in {one}");
    }
    for file in ["output_file_id", "error_file_id"] {
        let file = show(&lab, &batch)[file].as_str().unwrap().to_owned();
        assert!(one.contains(&format!("/v1/files/{file}/content")), "{one}");
    }
    assert!(!one.contains("data-due"));
}

#[test]
fn a_form_starts_a_batch_of_the_endpoint_that_its_first_line_names() {
    let lab = Lab::new();
    let file = || part("file", Some("in.jsonl"), &format!("\n{}", lines(2)));
    let (status, to) = send(&lab, &lab.run, &[file()]);
    assert_eq!(status, StatusCode::SEE_OTHER);
    let id = to.strip_prefix("/batches/").unwrap().to_owned();
    let (_, batch) = lab.get(&format!("/v1/batches/{id}"), &lab.read);
    assert_eq!(
        (&batch["endpoint"], &batch["completion_window"]),
        (&json!("/v1/completions"), &json!("24h")),
        "{batch}"
    );
    // The same form again is the same batch, unless another one is asked for.
    assert_eq!(send(&lab, &lab.run, &[file()]).1, to);
    let again = send(&lab, &lab.run, &[file(), part("again", None, "yes"), part("window", None, "90m")]).1;
    assert_ne!(again, to);
    let lenient = send(&lab, &lab.run, &[file(), part("on_bad_line", None, "error_line")]).1;
    let (_, batch) = lab.get(&format!("/v1/batches/{}", lenient.trim_start_matches("/batches/")), &lab.read);
    assert_eq!(batch["metadata"], json!({ "stepwell.on_bad_line": "error_line" }));
}

#[test]
fn a_form_that_is_wrong_starts_nothing() {
    let lab = Lab::new();
    let file = || part("file", Some("in.jsonl"), &line("a"));
    assert_eq!(send(&lab, &lab.read, &[file()]).0, StatusCode::FORBIDDEN);
    assert_eq!(send(&lab, &lab.infer, &[file()]).0, StatusCode::FORBIDDEN);
    for wrong in [
        vec![],
        vec![part("file", Some(""), "")],
        vec![file(), file()],
        vec![file(), part("purpose", None, "batch")],
        vec![file(), part("window", None, "8d")],
        vec![file(), part("endpoint", None, "/v1/embeddings")],
        vec![file(), part("on_bad_line", None, "explode")],
        vec![file(), part("again", None, &"x".repeat(5000))],
    ] {
        let (status, to) = send(&lab, &lab.run, &wrong);
        assert!(status == StatusCode::BAD_REQUEST && to.is_empty(), "{status} {wrong:?}");
    }
    let (_, list) = lab.get("/v1/batches", &lab.read);
    assert_eq!(list["data"], json!([]));
}

#[test]
fn a_batch_is_cancelled_on_the_page() {
    let lab = Lab::new();
    let batch = create(&lab, 2);
    let path = format!("/batches/{}/cancel", batch["id"].as_str().unwrap());
    let cancel = |token: &str| {
        let request = request("POST", &path).header(header::AUTHORIZATION, bearer(token)).body(Body::empty());
        lab.send(request.unwrap()).status()
    };
    assert_eq!(cancel(&lab.read), StatusCode::FORBIDDEN);
    assert_eq!(cancel(&lab.run), StatusCode::SEE_OTHER);
    assert_eq!(show(&lab, &batch)["status"], "cancelling");
    look(&lab);
    assert_eq!(show(&lab, &batch)["status"], "cancelled");
}

#[test]
fn the_playground_names_the_models_and_says_who_may_ask() {
    let lab = Lab::new();
    assert!(page(&lab, "/playground").contains("may only look"));
    let request = request("GET", "/playground?model=m").header(header::AUTHORIZATION, bearer(&lab.run));
    let answer = lab.send(request.body(Body::empty()).unwrap());
    let text = String::from_utf8(lab.body(answer)).unwrap();
    assert!(text.contains("<option value=\"m\" selected>"), "{text}");
}
