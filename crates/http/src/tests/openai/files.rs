//! Files: uploaded, listed, sent, deleted.

use axum::body::Body;
use axum::http::{StatusCode, header};
use serde_json::{Value, json};

use super::served::{BOUNDARY, content, form, line, part, send_form, upload};
use crate::tests::fixture::{Lab, bearer, request};

#[test]
fn a_file_is_its_content_and_comes_back_whatever_the_client_accepts() {
    let lab = Lab::new();
    let file = upload(&lab, "abc");
    // SHA-256 of `abc`.
    let id = "file-ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let expected = json!({ "id": id, "object": "file", "bytes": 3, "filename": "in.jsonl", "purpose": "batch",
        "status": "processed", "expires_at": null, "created_at": file["created_at"] });
    assert_eq!(file, expected);
    assert_eq!(upload(&lab, "abc"), file, "the same upload again is the same file");
    assert_eq!(lab.get(&format!("/v1/files/{id}"), &lab.read), (StatusCode::OK, file.clone()));
    let answer = content(&lab, &file["id"]);
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.headers()["x-request-id"].to_str().unwrap().starts_with("req_"));
    assert_eq!(lab.body(answer), b"abc");
}

#[test]
fn fields_come_in_any_order_and_wrong_ones_are_named() {
    let lab = Lab::new();
    let file = |content: &str| part("file", Some("/home/x/in.jsonl"), content);
    let purpose = |text: &str| part("purpose", None, text);
    let expiry = |anchor: &str, seconds: &str| {
        [part("expires_after[anchor]", None, anchor), part("expires_after[seconds]", None, seconds)].concat()
    };
    let (status, stored) = send_form(&lab, &[file("a"), expiry("created_at", "3600"), purpose("batch")]);
    assert_eq!((status, &stored["filename"]), (StatusCode::OK, &json!("in.jsonl")));
    assert_eq!(stored["expires_at"].as_i64(), stored["created_at"].as_i64().map(|at| at + 3600));
    for (parts, param) in [
        (vec![file("x")], "purpose"),
        (vec![purpose("batch")], "file"),
        (vec![purpose("assistants"), file("x")], "purpose"),
        (vec![purpose("batch"), file("")], "file"),
        (vec![purpose("batch"), file("x"), file("y")], "file"),
        (vec![purpose("batch"), file("x"), expiry("created_at", "60")], "expires_after.seconds"),
        (vec![purpose("batch"), file("x"), expiry("now", "3600")], "expires_after.anchor"),
        (vec![purpose("batch"), file("x"), expiry("created_at", "many")], "expires_after.seconds"),
        (vec![purpose(&"x".repeat(5000)), file("x")], "purpose"),
    ] {
        let (status, refused) = send_form(&lab, &parts);
        assert_eq!((status, &refused["error"]["param"]), (StatusCode::BAD_REQUEST, &json!(param)), "{refused}");
    }
    let (status, refused) = send_form(&lab, &[purpose("batch"), file("x"), part("colour", None, "red")]);
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(refused["error"]["message"].as_str().unwrap().contains("colour"), "{refused}");
    let (_, listed) = lab.get("/v1/files", &lab.read);
    assert_eq!(listed["data"].as_array().unwrap().len(), 1, "nothing of a refused form stays");
}

#[test]
fn a_body_that_is_no_form_is_refused() {
    let lab = Lab::new();
    for media_type in ["application/json", "multipart/form-data", "multipart/form-data; boundary=other"] {
        let request = request("POST", "/v1/files")
            .header(header::AUTHORIZATION, bearer(&lab.run))
            .header(header::CONTENT_TYPE, media_type);
        let (status, refused) = lab.json(request.body(Body::from("{}")).unwrap());
        assert_eq!(status, StatusCode::BAD_REQUEST, "{refused}");
        assert_eq!(refused["error"]["type"], "invalid_request_error");
    }
    // A form that is cut off in the middle of its file stores nothing.
    let whole = form(&[part("purpose", None, "batch"), part("file", Some("f"), &line("a"))]);
    for cut in [40, 120, whole.len() - 30] {
        let request = request("POST", "/v1/files")
            .header(header::AUTHORIZATION, bearer(&lab.run))
            .header(header::CONTENT_TYPE, format!("multipart/form-data; boundary={BOUNDARY}"));
        let (status, refused) = lab.json(request.body(Body::from(whole[..cut].to_owned())).unwrap());
        assert_eq!(status, StatusCode::BAD_REQUEST, "{cut}: {refused}");
    }
    assert_eq!(lab.get("/v1/files", &lab.read).1["data"], json!([]));
    let temporary = std::fs::read_dir(lab.dir.path().join("artifacts/tmp")).unwrap().count();
    assert_eq!(temporary, 0, "half a file stayed behind");
}

fn ids(page: &Value) -> Vec<&str> {
    page["data"].as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap()).collect()
}

#[test]
fn pages_end_and_hold_every_file_once() {
    let lab = Lab::new();
    let files: Vec<Value> = (0..7).map(|number| upload(&lab, &line(&number.to_string()))).collect();
    let mut all: Vec<&str> = files.iter().map(|file| file["id"].as_str().unwrap()).collect();
    for (order, limit) in [("desc", 3), ("asc", 3), ("desc", 7), ("asc", 1)] {
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let (status, page) = lab.get(&format!("/v1/files?limit={limit}&order={order}{after}"), &lab.read);
            assert_eq!((status, &page["object"]), (StatusCode::OK, &json!("list")));
            seen.extend(ids(&page).iter().map(|id| (*id).to_owned()));
            assert_eq!(page["last_id"].as_str(), seen.last().map(String::as_str));
            after = format!("&after={}", page["last_id"].as_str().unwrap());
            if page["has_more"] == json!(false) {
                break;
            }
        }
        let ordered: Vec<i64> = seen
            .iter()
            .map(|id| files.iter().find(|file| file["id"] == json!(id)).unwrap()["created_at"].as_i64().unwrap())
            .collect();
        assert!(if order == "asc" { ordered.is_sorted() } else { ordered.iter().rev().is_sorted() }, "{ordered:?}");
        seen.sort();
        all.sort_unstable();
        assert_eq!(seen, all);
    }
    assert_eq!(ids(&lab.get("/v1/files?purpose=batch_output", &lab.read).1), Vec::<&str>::new());
    for wrong in ["limit=0", "limit=10001", "order=up", "after=file-x", "colour=red"] {
        let (status, refused) = lab.get(&format!("/v1/files?{wrong}"), &lab.read);
        assert!(status.is_client_error() && refused["error"]["message"].is_string(), "{wrong}: {refused}");
    }
}

#[test]
fn a_deleted_file_is_gone_and_can_come_back() {
    let lab = Lab::new();
    let file = upload(&lab, "abc");
    let path = format!("/v1/files/{}", file["id"].as_str().unwrap());
    let delete = || {
        let request = request("DELETE", &path).header(header::AUTHORIZATION, bearer(&lab.run));
        lab.json(request.body(Body::empty()).unwrap())
    };
    assert_eq!(delete(), (StatusCode::OK, json!({ "id": file["id"], "object": "file", "deleted": true })));
    let (status, refused) = delete();
    assert_eq!((status, &refused["error"]["code"]), (StatusCode::NOT_FOUND, &json!("not_found")));
    assert_eq!(lab.get(&path, &lab.read).0, StatusCode::NOT_FOUND);
    assert_eq!(content(&lab, &file["id"]).status(), StatusCode::NOT_FOUND);
    assert_eq!(upload(&lab, "abc")["id"], file["id"]);
    assert_eq!(lab.get(&path, &lab.read).0, StatusCode::OK);
}
