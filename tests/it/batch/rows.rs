//! What a batch gives.

use serde_json::{Value, json};

use super::{Lab, requests};

#[test]
fn rows_are_answered_and_the_files_do_not_depend_on_how_many_run_at_once() {
    let lab = Lab::new(&requests(40, 24));
    let done = lab.batch(&[]).exits(3);
    assert!(done.stdout.contains("36 of 40 rows answered: out.jsonl"), "{}", done.stdout);
    assert!(done.stdout.contains("4 failed: out.errors.jsonl"), "{}", done.stdout);
    assert!(done.stdout.contains("invalid_value"), "{}", done.stdout);
    let lines = lab.lines("out.jsonl");
    let chat = &lines[1]["response"]["body"];
    assert_eq!(chat["object"], "chat.completion");
    assert_eq!(chat["usage"]["completion_tokens"], 24);
    assert_eq!(chat["choices"][0]["finish_reason"], "length");
    let files = lab.files();
    for concurrency in ["1", "5"] {
        // Its own state directory, so that no answer is known.
        let other = format!("state-{concurrency}");
        lab.batch(&["--concurrency", concurrency, "--state-dir", &other]).exits(3);
        assert!(lab.files() == files, "{concurrency} at once");
    }
    let again = lab.batch(&[]).exits(3);
    assert!(
        again.stdout.contains("has answered this batch before")
            || again.stderr.contains("has answered this batch before")
    );
    assert!(lab.files() == files);
}

#[test]
fn bad_lines_are_error_lines_or_refuse_the_file() {
    let mut lines = requests(4, 4);
    lines.insert(1, "{broken".to_owned());
    lines.insert(3, lines[0].clone());
    let long = json!({"custom_id": "long", "method": "POST", "url": "/v1/completions",
        "body": {"model": "tiny", "prompt": "x".repeat(2000)}});
    lines.push(long.to_string());
    let lab = Lab::new(&lines);
    lab.batch(&["--on-bad-line", "fail"]).exits(3).says(&["line 2: ", "line 4: ", "that of line 1"]);
    assert!(!lab.path("out.jsonl").exists());
    lab.batch(&[]).exits(3);
    assert_eq!(lab.lines("out.jsonl").len(), 4);
    let code = |line: &Value| line["response"]["body"]["error"]["code"].as_str().unwrap().to_owned();
    let errors: Vec<String> = lab.lines("out.errors.jsonl").iter().map(code).collect();
    assert_eq!(errors, ["invalid_json_line", "duplicate_custom_id", "context_length_exceeded"]);
}

#[test]
fn wrong_arguments_are_refused_before_anything_runs() {
    let lab = Lab::new(&requests(1, 1));
    let batch = |args: &[&str]| lab.sandbox.stepwell(&[&["batch"], args].concat());
    batch(&["requests.jsonl", "-m", "nowhere", "-o", "out.jsonl"]).exits(6).says(&["there is no model `nowhere`"]);
    batch(&["none.jsonl", "-m", "model", "-o", "out.jsonl"]).exits(6).says(&["there is no file `none.jsonl`"]);
    batch(&["requests.jsonl", "-m", "model", "-o", "requests.jsonl"]).exits(2).says(&["is the file of requests"]);
    batch(&["requests.jsonl", "-m", "model", "-o", "no/out.jsonl"]).exits(2).says(&["there is no folder `no`"]);
    batch(&["requests.jsonl", "-m", "model", "-o", "a", "--errors", "a"]).exits(2).says(&["cannot be one file"]);
    batch(&["requests.jsonl", "-m", "model", "-o", "a", "--deadline", "soon"]).exits(2).says(&["no deadline"]);
}

#[test]
fn a_batch_that_expires_keeps_what_is_done_and_the_next_one_reuses_it() {
    let lab = Lab::new(&requests(20, 400));
    lab.batch(&["--deadline", "1s", "--concurrency", "1"]).exits(3);
    let expired = lab.lines("out.errors.jsonl").iter().filter(|line| line["error"]["code"] == "batch_expired").count();
    let answered = lab.lines("out.jsonl").len();
    assert_eq!(expired + answered, 18);
    lab.batch(&[]).exits(3);
    assert_eq!(lab.lines("out.jsonl").len(), 18);
    let values = lab.sandbox.show()["steps"][0]["values"].clone();
    assert_eq!(values["reused"], answered, "{values}");
}
