//! Batches in all their states.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::served::{End, asked, cancel, content, create, end, line, lines, look, run_of, runs, show, upload, work};
use crate::tests::fixture::Lab;

fn id(batch: &Value) -> &str {
    batch["id"].as_str().unwrap()
}

#[test]
fn a_batch_goes_through_its_states_and_its_files_can_be_read() {
    let lab = Lab::new();
    let batch = create(&lab, 3);
    assert_eq!((&batch["object"], &batch["status"]), (&json!("batch"), &json!("validating")));
    for null in ["output_file_id", "error_file_id", "errors", "in_progress_at", "completed_at", "cancelled_at", "usage"]
    {
        assert_eq!(batch[null], Value::Null, "{null}");
    }
    look(&lab);
    look(&lab);
    let at_work = show(&lab, &batch);
    assert_eq!((&at_work["status"], &at_work["model"]), (&json!("in_progress"), &json!("m")));
    assert_eq!(at_work["request_counts"], json!({ "total": 3, "completed": 0, "failed": 0 }));
    assert!(at_work["in_progress_at"].is_i64());
    let output: String = "{\"custom_id\":\"r0\"}\n{\"custom_id\":\"r1\"}\n".to_owned();
    let errors = "{\"custom_id\":\"r2\"}\n".to_owned();
    let run = run_of(&lab, id(&batch)).unwrap();
    end(&lab, run, End::Succeeds { output: output.clone(), errors: errors.clone(), completed: 2, failed: 1 });
    assert_eq!(show(&lab, &batch)["status"], "finalizing");
    look(&lab);
    let done = show(&lab, &batch);
    assert_eq!(done["status"], "completed");
    assert_eq!(done["request_counts"], json!({ "total": 3, "completed": 2, "failed": 1 }));
    assert_eq!(done["usage"]["total_tokens"], 12);
    assert_eq!(lab.body(content(&lab, &done["output_file_id"])), output.as_bytes());
    assert_eq!(lab.body(content(&lab, &done["error_file_id"])), errors.as_bytes());
    let (_, file) = lab.get(&format!("/v1/files/{}", done["output_file_id"].as_str().unwrap()), &lab.read);
    assert_eq!(file["purpose"], "batch_output");
    let order = ["created_at", "in_progress_at", "finalizing_at", "completed_at", "expires_at"];
    let times: Vec<i64> = order.iter().map(|name| done[name].as_i64().expect(name)).collect();
    assert!(times.is_sorted(), "{done}");
    // Its ending does not change any more.
    assert_eq!(look(&lab), 0);
    assert_eq!(show(&lab, &batch), done);
}

#[test]
fn a_batch_at_work_counts_failed_rows_apart() {
    let lab = Lab::new();
    let batch = create(&lab, 5);
    look(&lab);
    look(&lab);
    work(&lab, run_of(&lab, id(&batch)).unwrap(), 3, 1);
    let at_work = show(&lab, &batch);
    assert_eq!(at_work["status"], "in_progress");
    assert_eq!(at_work["request_counts"], json!({ "total": 5, "completed": 2, "failed": 1 }));
}

#[test]
fn a_batch_without_one_answer_has_no_output_file() {
    let lab = Lab::new();
    let batch = create(&lab, 1);
    look(&lab);
    look(&lab);
    let errors = "{\"custom_id\":\"r0\"}\n".to_owned();
    end(
        &lab,
        run_of(&lab, id(&batch)).unwrap(),
        End::Succeeds { output: String::new(), errors, completed: 0, failed: 1 },
    );
    look(&lab);
    let done = show(&lab, &batch);
    assert_eq!((&done["status"], &done["output_file_id"]), (&json!("completed"), &Value::Null));
    assert!(done["error_file_id"].is_string());
}

#[test]
fn the_same_request_is_the_same_batch_and_only_one_run() {
    let lab = Lab::new();
    let file = upload(&lab, &lines(2));
    let first = lab.post("/v1/batches", &lab.run, asked(&file)).1;
    look(&lab);
    look(&lab);
    for _ in 0..3 {
        let (status, again) = lab.post("/v1/batches", &lab.run, asked(&file));
        assert_eq!((status, &again["id"], &again["created_at"]), (StatusCode::OK, &first["id"], &first["created_at"]));
        look(&lab);
    }
    assert_eq!(runs(&lab), 1);
    let mut rerun = asked(&file);
    rerun["metadata"] = json!({ "rerun": "1" });
    let (_, other) = lab.post("/v1/batches", &lab.run, rerun);
    assert_ne!(other["id"], first["id"]);
    look(&lab);
    look(&lab);
    assert_eq!(runs(&lab), 2);
}

#[test]
fn every_bad_line_is_named_before_any_run() {
    let lab = Lab::new();
    let with = |name: &str, value: Value| {
        let mut line: Value = serde_json::from_str(&line("x")).unwrap();
        line[name] = value;
        format!("{line}\n")
    };
    let text = [
        line("a"),
        "{ broken\n".to_owned(),
        "\n".to_owned(),
        line("a"),
        with("url", json!("/v1/embeddings")),
        with("url", json!("/v1/chat/completions")),
        with("custom_id", json!(7)),
        with("body", json!({ "model": "unknown", "prompt": "x" })),
        with("body", json!([])),
    ]
    .concat();
    let file = upload(&lab, &text);
    let batch = lab.post("/v1/batches", &lab.run, asked(&file)).1;
    look(&lab);
    let failed = show(&lab, &batch);
    assert_eq!((&failed["status"], &failed["output_file_id"]), (&json!("failed"), &Value::Null), "{failed}");
    assert!(failed["failed_at"].is_i64());
    let found: Vec<(u64, &str)> = failed["errors"]["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["line"].as_u64().unwrap(), error["code"].as_str().unwrap()))
        .collect();
    let expected = [
        (2, "invalid_json_line"),
        (4, "duplicate_custom_id"),
        (5, "invalid_url"),
        (6, "mismatched_url"),
        (7, "invalid_custom_id"),
        (8, "model_not_found"),
        (9, "invalid_type"),
    ];
    let lines_of = |found: &[(u64, &str)]| found.iter().map(|(line, _)| *line).collect::<Vec<_>>();
    assert_eq!(lines_of(&found), lines_of(&expected), "{found:?}");
    for (found, expected) in found.iter().zip(&expected).take(3) {
        assert_eq!(found, expected);
    }
    look(&lab);
    assert_eq!(runs(&lab), 0, "nothing was computed");
}

#[test]
fn a_lenient_batch_runs_with_its_bad_lines() {
    let lab = Lab::new();
    let file = upload(&lab, &format!("{}{{ broken\n", line("a")));
    let mut asked = asked(&file);
    asked["metadata"] = json!({ "stepwell.on_bad_line": "error_line" });
    let batch = lab.post("/v1/batches", &lab.run, asked).1;
    look(&lab);
    look(&lab);
    assert_eq!(show(&lab, &batch)["status"], "in_progress");
    let started = lab.desk.batches.lock().unwrap();
    assert_eq!(started[0].on_bad_line, crate::openai::OnBadLine::ErrorLine);
    assert_eq!(started[0].model, "m");
}

#[test]
fn a_file_without_requests_fails_and_says_so() {
    let lab = Lab::new();
    let file = upload(&lab, "\n\n");
    let batch = lab.post("/v1/batches", &lab.run, asked(&file)).1;
    look(&lab);
    let failed = show(&lab, &batch);
    assert_eq!((&failed["status"], &failed["errors"]["data"][0]["code"]), (&json!("failed"), &json!("empty_file")));
    assert_eq!(failed["errors"]["data"][0]["line"], Value::Null);
}

#[test]
fn a_run_that_fails_fails_its_batch_and_says_why() {
    let lab = Lab::new();
    let batch = create(&lab, 1);
    look(&lab);
    look(&lab);
    end(&lab, run_of(&lab, id(&batch)).unwrap(), End::Fails("the model is damaged"));
    look(&lab);
    let failed = show(&lab, &batch);
    assert_eq!((&failed["status"], &failed["errors"]["data"][0]["code"]), (&json!("failed"), &json!("run_failed")));
    assert_eq!(failed["errors"]["data"][0]["message"], "the model is damaged");
}

#[test]
fn a_batch_that_is_cancelled_before_it_was_read_ends_without_a_run() {
    let lab = Lab::new();
    let batch = create(&lab, 1);
    assert_eq!(cancel(&lab, &batch).1["status"], "cancelling");
    look(&lab);
    let ended = show(&lab, &batch);
    assert_eq!((&ended["status"], &ended["output_file_id"]), (&json!("cancelled"), &Value::Null));
    assert_eq!(runs(&lab), 0);
    assert_eq!(cancel(&lab, &batch).0, StatusCode::OK, "asking twice is no mistake");
}

#[test]
fn pages_of_batches_end() {
    let lab = Lab::new();
    let made: Vec<Value> = (1..=5).map(|count| create(&lab, count)).collect();
    let (_, first) = lab.get("/v1/batches?limit=2", &lab.read);
    assert_eq!((first["data"].as_array().unwrap().len(), &first["has_more"]), (2, &json!(true)));
    let last = first["last_id"].as_str().unwrap();
    let (_, rest) = lab.get(&format!("/v1/batches?limit=100&after={last}"), &lab.read);
    assert_eq!((rest["data"].as_array().unwrap().len(), &rest["has_more"]), (3, &json!(false)));
    let mut seen: Vec<&str> =
        [&first, &rest].iter().flat_map(|page| page["data"].as_array().unwrap()).map(id).collect();
    let mut all: Vec<&str> = made.iter().map(id).collect();
    seen.sort_unstable();
    all.sort_unstable();
    assert_eq!(seen, all);
    assert_eq!(lab.get("/v1/batches", &lab.read).1["has_more"], false);
}

#[test]
fn what_cannot_be_a_batch_is_refused_with_the_field() {
    let lab = Lab::new();
    let file = upload(&lab, &lines(1));
    for (field, value, param) in [
        ("endpoint", json!("/v1/embeddings"), json!("endpoint")),
        ("completion_window", json!("soon"), json!("completion_window")),
        ("input_file_id", json!("file-nope"), json!("input_file_id")),
        (
            "output_expires_after",
            json!({ "anchor": "created_at", "seconds": 5 }),
            json!("output_expires_after.seconds"),
        ),
        ("colour", json!("red"), Value::Null),
    ] {
        let mut asked = asked(&file);
        asked[field] = value;
        let (status, refused) = lab.post("/v1/batches", &lab.run, asked);
        assert_eq!((status, &refused["error"]["param"]), (StatusCode::BAD_REQUEST, &param), "{refused}");
        assert_eq!(refused["error"]["type"], "invalid_request_error");
    }
    let (status, refused) = lab.get("/v1/batches/batch_x", &lab.read);
    assert_eq!((status, &refused["error"]["type"]), (StatusCode::NOT_FOUND, &json!("not_found_error")));
}

#[test]
fn start_makes_a_lenient_batch_of_prompts_and_tells_how_it_goes() {
    let lab = Lab::new();
    let body = json!({ "model": "m", "input": ["a", { "prompt": "b" }, 7], "max_tokens": 4 });
    let (status, batch) = lab.post("/start", &lab.run, body.clone());
    assert_eq!((status, &batch["endpoint"]), (StatusCode::OK, &json!("/v1/completions")), "{batch}");
    assert_eq!(lab.post("/start", &lab.run, body).1["id"], batch["id"]);
    look(&lab);
    look(&lab);
    let (status, told) = lab.get(&format!("/status/{}", id(&batch)), &lab.read);
    assert_eq!((status, &told["status"]), (StatusCode::OK, &json!("in_progress")));
    assert_eq!(told["request_counts"]["total"], 3);
    assert_eq!(told["effort"]["compute_seconds"], 0.0);
    let (status, refused) = lab.post("/start", &lab.run, json!({ "model": "m", "input": [] }));
    assert_eq!((status, &refused["error"]["param"]), (StatusCode::BAD_REQUEST, &json!("input")));
}
