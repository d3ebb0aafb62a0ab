//! What becomes of rows.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Lab, digests, ids, row};
use crate::StepError;
use crate::infer::CANCEL_FILE;

#[test]
fn every_row_is_answered_in_the_order_of_the_file() {
    let mut lab = Lab::of_rows(20);
    let outputs = lab.attempt().unwrap();
    let lines = lab.file(&outputs, "output");
    assert_eq!(ids(&lines), (0..20).map(|n| format!("id-{n}")).collect::<Vec<_>>());
    let text = lines[1]["response"]["body"]["choices"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("1xx tpmorp "), "{text}");
    assert!(lines.iter().all(|line| line["response"]["body"]["created"] == 0), "no time makes equal batches differ");
    assert!(lab.file(&outputs, "errors").is_empty());
    assert_eq!(outputs.values["ended"], "completed");
    assert_eq!((&outputs.values["total"], &outputs.values["completed"]), (&json!(20), &json!(20)));
    assert!(lab.ledger.borrow().submitted.iter().all(|(_, others)| *others < 3), "three at once");
    let committed = lab.recorder.checkpoints.last().unwrap();
    assert_eq!(committed.state["rows"], 20);
}

/// The engine takes its time over the first checkpoint: until then nothing counts, although all rows have ended.
#[test]
fn progress_counts_committed_rows_only() {
    let mut lab = Lab::of_rows(12);
    lab.recorder.commit_takes = Duration::from_millis(500);
    lab.attempt().unwrap();
    let shown = lab.recorder.progress.iter().take_while(|progress| progress.message != "writing the files");
    let counts: Vec<u64> = shown.map(|progress| progress.done).collect();
    assert!(counts.len() > 10 && counts.iter().all(|done| *done == 0), "{counts:?}");
    assert_eq!(lab.recorder.progress.last().unwrap().done, 12);
}

#[test]
fn bad_lines_get_error_lines_and_no_row_is_lost() {
    let mut twice = row("b", "x");
    twice["body"]["n"] = json!(1_000_000_000);
    let lines = [
        row("a", "one").to_string(),
        "{broken".to_owned(),
        row("a", "again").to_string(),
        twice.to_string(),
        row("c", &"long".repeat(100)).to_string(),
        row("d", "panic now").to_string(),
        row("e", "two").to_string().replace("\"prompt\"", "\"promtp\""),
        String::new(),
        row("f", "three").to_string(),
    ];
    let mut lab = Lab::new(&lines);
    let outputs = lab.attempt().unwrap();
    assert_eq!(ids(&lab.file(&outputs, "output")), ["a", "f"]);
    let expected = [
        (Value::Null, "invalid_json_line"),
        (Value::Null, "duplicate_custom_id"),
        (json!("b"), "invalid_value"),
        (json!("c"), "context_length_exceeded"),
        (json!("d"), "internal_error"),
        (json!("e"), "missing_required_parameter"),
    ];
    assert_eq!(lab.errors(&outputs), expected.map(|(id, code)| (id, code.to_owned())));
    let ids: BTreeSet<String> = lab.file(&outputs, "errors").iter().map(|line| line["id"].to_string()).collect();
    assert_eq!(ids.len(), 6, "each line has an id of its own");
    assert_eq!(outputs.values["failures"]["duplicate_custom_id"], 1);
    let committed = &lab.recorder.checkpoints.last().unwrap().state;
    assert_eq!((&committed["rows"], &committed["failed"]), (&json!(8), &json!(6)));
    lab.set("on_bad_line", json!("fail"));
    let Err(StepError::Failed(failure)) = lab.attempt() else { panic!() };
    assert!(
        failure.message.contains("2 bad lines")
            && failure.message.contains("line 2: ")
            && failure.message.contains("line 3: "),
        "{failure}"
    );
}

#[test]
fn several_choices_and_prompts_are_one_row() {
    let mut both = row("a", "");
    both["body"]["prompt"] = json!(["ab", "c"]);
    both["body"]["n"] = json!(2);
    both["body"]["seed"] = json!(5);
    let mut lab = Lab::new(&[both.to_string(), row("b", "x").to_string()]);
    let outputs = lab.attempt().unwrap();
    let choices = lab.file(&outputs, "output")[0]["response"]["body"]["choices"].clone();
    let texts: Vec<&str> = choices.as_array().unwrap().iter().map(|choice| choice["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["ba 5", "ba 6", "c 5", "c 6"]);
    assert_eq!(choices[3]["index"], 3);
}

#[test]
fn a_row_that_takes_too_long_gets_an_error_line() {
    let lines = [row("slow", &"x".repeat(90)), row("quick", "q"), row("next", "n")];
    let mut lab = Lab::new(&lines.map(|line| line.to_string()));
    lab.set("request_timeout", json!("300ms"));
    lab.ledger.borrow_mut().pause = Duration::from_millis(20);
    let outputs = lab.attempt().unwrap();
    assert_eq!(ids(&lab.file(&outputs, "output")), ["quick", "next"]);
    assert_eq!(lab.errors(&outputs), [(json!("slow"), "request_timeout".to_owned())]);
    assert_eq!(lab.file(&outputs, "errors")[0]["response"], Value::Null);
    lab.set("request_timeout", json!("soon"));
    assert!(lab.attempt().is_err());
}

#[test]
fn a_cancelled_batch_keeps_what_is_finished() {
    let mut lab = Lab::of_rows(30);
    lab.ledger.borrow_mut().steps_left = Some(40);
    lab.dying();
    let before = lab.ledger.borrow().finished.len();
    assert!((1..29).contains(&before));
    lab.ledger.borrow_mut().steps_left = None;
    fs::write(lab.steps.scratch().join(CANCEL_FILE), "").unwrap();
    let outputs = lab.attempt().unwrap();
    assert_eq!(lab.file(&outputs, "output").len(), before);
    let errors = lab.errors(&outputs);
    assert!(errors.len() == 30 - before && errors.iter().all(|(_, code)| code == "batch_cancelled"));
    assert_eq!(outputs.values["ended"], "cancelled");
}

#[test]
fn an_expired_batch_keeps_what_is_finished() {
    let mut lab = Lab::of_rows(30);
    lab.ledger.borrow_mut().steps_left = Some(40);
    lab.dying();
    lab.ledger.borrow_mut().steps_left = None;
    let before = lab.ledger.borrow().finished.len();
    assert!((1..29).contains(&before));
    lab.set("deadline", json!("2020-01-01T00:00:00Z"));
    let outputs = lab.attempt().unwrap();
    assert_eq!(outputs.values["ended"], "expired");
    assert_eq!(lab.file(&outputs, "output").len(), before);
    let errors = lab.errors(&outputs);
    assert!(errors.len() == 30 - before && errors.iter().all(|(_, code)| code == "batch_expired"));
    lab.set("deadline", json!("24h"));
    let outputs = lab.attempt().unwrap();
    assert_eq!(outputs.values["completed"], 30);
}

/// Removes the step. What it has answered is from then on that of an earlier run.
fn start_another_batch(lab: &mut Lab) {
    fs::remove_dir_all(lab.steps.step_directory()).unwrap();
    lab.recorder.checkpoints.clear();
    let rows = lab.steps.directory.path().join("rows");
    let link = walkdir::WalkDir::new(&rows).into_iter().flatten().find(|entry| entry.file_type().is_file()).unwrap();
    fs::rename(link.path(), link.path().with_file_name("other.segment")).unwrap();
}

#[test]
fn a_row_that_failed_is_tried_again_by_a_later_batch() {
    let mut lab = Lab::new(&[row("long", &"long".repeat(100)).to_string()]);
    for _ in 0..2 {
        let outputs = lab.attempt().unwrap();
        assert_eq!(lab.errors(&outputs), [(json!("long"), "context_length_exceeded".to_owned())]);
        assert_eq!(outputs.values["reused"], 0);
        start_another_batch(&mut lab);
    }
}

#[test]
fn equal_rows_of_a_later_batch_are_not_computed_again() {
    let mut lab = Lab::of_rows(10);
    let first = lab.attempt().unwrap();
    let computed = lab.ledger.borrow().submitted.len();
    start_another_batch(&mut lab);
    let text = fs::read_to_string(&lab.requests).unwrap() + "\n" + &row("new", "new").to_string();
    fs::write(&lab.requests, text).unwrap();
    let second = lab.attempt().unwrap();
    assert_eq!(lab.ledger.borrow().submitted.len(), computed + 1, "one row is new");
    assert_eq!(second.values["reused"], 10);
    let answers = |outputs| {
        let lines = lab.file(outputs, "output");
        lines.iter().take(10).map(|line| line["response"]["body"]["choices"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(answers(&first), answers(&second));
    assert_ne!(digests(&first), digests(&second));
}

#[test]
fn rows_that_draw_samples_share_no_answers_with_rows_of_another_seed() {
    let equal = |id: &str, seed: Option<u64>, temperature: Option<u64>| {
        let mut line = row(id, "equal");
        line["body"]["seed"] = json!(seed);
        line["body"]["temperature"] = json!(temperature);
        line.to_string()
    };
    let mut lab = Lab::new(&[equal("a", None, None), equal("b", Some(1), None), equal("c", None, Some(0))]);
    lab.attempt().unwrap();
    start_another_batch(&mut lab);
    // Another id is another seed, unless the row names one or draws nothing.
    let lines =
        [equal("d", None, None), equal("e", Some(2), None), equal("f", Some(1), None), equal("g", None, Some(0))];
    fs::write(&lab.requests, lines.join("\n")).unwrap();
    lab.ledger.borrow_mut().submitted.clear();
    let outputs = lab.attempt().unwrap();
    assert_eq!((&outputs.values["reused"], lab.ledger.borrow().submitted.len()), (&json!(2), 2));
}
