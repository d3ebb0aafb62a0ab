//! Deaths in the middle.

use std::fs;

use serde_json::json;

use super::{Lab, digests, ids, row};
use crate::StepError;

#[test]
fn a_batch_killed_anywhere_gives_the_same_files_and_repeats_only_rows_in_flight() {
    let mut undisturbed = Lab::of_rows(12);
    let expected = undisturbed.attempt().unwrap();
    let steps = undisturbed.ledger.borrow().submitted.len() as u32 * 5;
    for kill in 0..steps {
        let mut lab = Lab::of_rows(12);
        lab.set("concurrency", json!(2 + kill % 3));
        lab.ledger.borrow_mut().steps_left = Some(kill);
        if kill < 20 {
            lab.dying();
        } else if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| lab.attempt().map(drop))).is_err() {
            lab.recorder.disconnect_dead();
        }
        let recorded = lab.ledger.borrow().finished.len();
        lab.ledger.borrow_mut().steps_left = None;
        let outputs = lab.attempt().unwrap();
        assert_eq!(digests(&outputs), digests(&expected), "killed after {kill} steps");
        let again = lab.ledger.borrow().finished.len() - recorded;
        assert!(again + recorded <= 12 + 4, "{again} rows after {recorded}");
        let mut seen = lab.ledger.borrow().finished.clone();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 12);
    }
}

#[test]
fn an_asked_stop_repeats_only_rows_in_flight() {
    let mut lab = Lab::of_rows(12);
    lab.recorder.looks_left = std::cell::Cell::new(Some(30));
    assert!(matches!(lab.attempt(), Err(StepError::Interrupted)));
    let finished = lab.ledger.borrow().finished.clone();
    assert!(!finished.is_empty() && finished.len() < 12);
    assert_eq!(lab.recorder.checkpoints.last().unwrap().state["rows"], finished.len());
    lab.recorder.looks_left.set(None);
    lab.attempt().unwrap();
    assert_eq!(lab.ledger.borrow().finished.len(), 12);
    assert!(lab.recorder.notes.iter().any(|note| note.contains(&format!("resumes after {}", finished.len()))));
    assert!(!lab.recorder.notes.iter().any(|note| note.contains("died")));
}

#[test]
fn a_row_that_kills_its_worker_three_times_becomes_an_error_line() {
    let lines: Vec<String> =
        ["one", "two", "poison", "four", "five"].iter().map(|text| row(text, text).to_string()).collect();
    let mut lab = Lab::new(&lines);
    lab.ledger.borrow_mut().dies_with = Some("poison".to_owned());
    for _ in 0..3 {
        lab.dying();
    }
    let outputs = lab.attempt().unwrap();
    assert_eq!(ids(&lab.file(&outputs, "output")), ["one", "two", "four", "five"]);
    assert_eq!(lab.errors(&outputs), [(json!("poison"), "request_crashed".to_owned())]);
    // After the first death, rows that were in its company run alone.
    let alone = lab.ledger.borrow().submitted.iter().filter(|(text, others)| text == "poison" && *others == 0).count();
    assert_eq!(alone, 2);
    assert!(lab.recorder.notes.iter().any(|note| note.contains("these rows run one by one")));
    let deaths = &lab.recorder.checkpoints.last().unwrap().state["deaths"];
    assert_eq!(deaths["3"], 3);
}

#[test]
fn answers_that_are_damaged_are_computed_again() {
    let mut lab = Lab::of_rows(6);
    lab.recorder.looks_left = std::cell::Cell::new(Some(12));
    assert!(lab.attempt().is_err());
    lab.recorder.looks_left.set(None);
    let path = lab.steps.scratch().join("rows.segment");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    lab.set("reuse", json!(false));
    let outputs = lab.attempt().unwrap();
    let mut undisturbed = Lab::of_rows(6);
    assert_eq!(digests(&outputs), digests(&undisturbed.attempt().unwrap()));
    assert!(lab.recorder.notes.iter().any(|note| note.contains("lost or damaged")), "{:?}", lab.recorder.notes);
}

#[test]
fn a_file_that_changes_is_not_answered_from_memory() {
    let mut lab = Lab::of_rows(6);
    let requests = lab.requests.clone();
    lab.recorder.looks_left = std::cell::Cell::new(Some(10));
    assert!(lab.attempt().is_err());
    lab.recorder.looks_left.set(None);
    let text = fs::read_to_string(&requests).unwrap().replace("prompt ", "promise ");
    fs::write(&requests, text).unwrap();
    let outputs = lab.attempt().unwrap();
    let text = lab.file(&outputs, "output")[0]["response"]["body"]["choices"][0]["text"].clone();
    assert!(text.as_str().unwrap().contains("esimorp"), "{text}");
}
