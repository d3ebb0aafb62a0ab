//! Batches and rows that need more memory than there is.

use serde_json::json;

use super::{Lab, digests, ids, row};
use crate::process::pretend;

/// A worker that the kernel kills for lack of memory.
fn dying_of_memory(lab: &mut Lab) {
    lab.dying();
    pretend::kill();
}

#[test]
fn a_batch_without_memory_continues_at_half_its_size() {
    let mut undisturbed = Lab::of_rows(20);
    let expected = undisturbed.attempt().unwrap();
    let mut lab = Lab::of_rows(20);
    lab.set("concurrency", json!(8));
    lab.ledger.borrow_mut().most_running = Some(3);
    dying_of_memory(&mut lab);
    dying_of_memory(&mut lab);
    let outputs = lab.attempt().unwrap();
    assert_eq!(digests(&outputs), digests(&expected));
    assert_eq!(outputs.values["concurrency"], 2);
    for decision in
        ["8 rows: the batch continues with at most 4 at once", "4 rows: the batch continues with at most 2 at once"]
    {
        assert!(lab.recorder.notes.iter().any(|note| note.contains(decision)), "{:?}", lab.recorder.notes);
    }
    let committed = &lab.recorder.checkpoints.last().unwrap().state;
    assert_eq!((&committed["most_at_once"], &committed["deaths"]), (&json!(2), &json!({})), "no row is blamed");
}

/// The log of a worker that the system refused memory is the only sign of it.
#[test]
fn a_refused_allocation_halves_the_batch_and_blames_no_row() {
    let mut lab = Lab::of_rows(20);
    lab.set("concurrency", json!(8));
    lab.ledger.borrow_mut().most_running = Some(7);
    lab.dying();
    let log = lab.steps.scratch().with_file_name("attempt-1.log");
    std::fs::write(&log, "memory allocation of 4096 bytes failed\n").unwrap();
    let outputs = lab.attempt().unwrap();
    assert_eq!((&outputs.values["completed"], &outputs.values["concurrency"]), (&json!(20), &json!(4)));
    let committed = &lab.recorder.checkpoints.last().unwrap().state;
    assert_eq!((&committed["most_at_once"], &committed["deaths"]), (&json!(4), &json!({})));
}

#[test]
fn a_row_that_needs_the_memory_alone_gets_an_error_line_and_the_others_run_as_before() {
    let lines: Vec<String> =
        ["one", "two", "poison", "four", "five"].iter().map(|text| row(text, text).to_string()).collect();
    let mut lab = Lab::new(&lines);
    lab.ledger.borrow_mut().dies_with = Some("poison".to_owned());
    // In company, then twice alone.
    for _ in 0..3 {
        dying_of_memory(&mut lab);
    }
    let outputs = lab.attempt().unwrap();
    assert_eq!(ids(&lab.file(&outputs, "output")), ["one", "two", "four", "five"]);
    assert_eq!(lab.errors(&outputs), [(json!("poison"), "out_of_memory".to_owned())]);
    let submitted = lab.ledger.borrow().submitted.clone();
    assert_eq!(submitted.iter().filter(|(text, others)| text == "poison" && *others == 0).count(), 2);
    assert!(submitted.contains(&("five".to_owned(), 1)), "{submitted:?}");
    assert_eq!(outputs.values["concurrency"], 3);
    assert!(lab.recorder.notes.iter().any(|note| note.starts_with("line 3 was what needed the memory")));
}

#[test]
fn a_row_without_memory_runs_again_alone() {
    let lines = [row("a", "aaaa"), row("b", "bbbbbbbb"), row("c", "cc"), row("d", "dddddddddddd")];
    let mut lab = Lab::new(&lines.map(|line| line.to_string()));
    lab.ledger.borrow_mut().memory = Some(10);
    let outputs = lab.attempt().unwrap();
    assert_eq!(ids(&lab.file(&outputs, "output")), ["a", "b", "c"]);
    assert_eq!(lab.errors(&outputs), [(json!("d"), "out_of_memory".to_owned())]);
    assert!(lab.ledger.borrow().submitted.contains(&("bbbbbbbb".to_owned(), 0)));
}
