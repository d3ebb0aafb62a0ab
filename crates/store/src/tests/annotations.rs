//! Tags, notes and pins, and the names by which people find runs.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::{Annotation, Reader, Remark, Store, StoreError, Submitted, check};
use stepwell_base::ids::RunId;
use stepwell_base::remark::Tag;
use stepwell_run::event::{Event, RunEvent};
use stepwell_run::run_options::{Origin, RunOptions};

use super::fixture::*;

fn tags(words: &[&str]) -> BTreeSet<Tag> {
    words.iter().map(|word| word.parse().unwrap()).collect()
}

fn add(words: &[&str]) -> Remark {
    Remark::Tags { add: tags(words), remove: BTreeSet::new() }
}

#[test]
fn another_process_annotates_a_run_while_an_engine_drives_it() {
    let (mut engine, run) = Engine::with_run();
    let mut person = Store::open(engine.path()).unwrap();
    person.remark(run, &add(&["b", "a"]), at(5)).unwrap();
    engine.commit(run, [started("a", 1)]).unwrap();
    person.remark(run, &Remark::Note("two\nlines".parse().unwrap()), at(6)).unwrap();
    person.remark(run, &Remark::Keep, at(7)).unwrap();
    person.remark(run, &Remark::Keep, at(8)).unwrap();
    engine.commit(run, [succeeded("a", 1)]).unwrap();
    let remark = Remark::Tags { add: tags(&["c"]), remove: tags(&["a", "z"]) };
    let expected =
        Annotation { tags: tags(&["b", "c"]), note: Some("two\nlines".parse().unwrap()), kept_at: Some(at(7)) };
    assert_eq!(person.remark(run, &remark, at(9)).unwrap(), expected);
    let reader = Reader::open(engine.path()).unwrap();
    assert_eq!(reader.annotation(run).unwrap(), expected);
    assert_eq!(reader.annotations(&[run]).unwrap()[&run], expected);
    assert_eq!(reader.runs_tagged(&"c".parse().unwrap()).unwrap(), BTreeSet::from([run]));
    assert_eq!(reader.runs_tagged(&"a".parse().unwrap()).unwrap(), BTreeSet::new());
    assert_eq!(check(engine.path()).unwrap(), []);
    for remark in [Remark::NoNote, Remark::KeepNoLonger, Remark::Tags { add: tags(&[]), remove: tags(&["b", "c"]) }] {
        person.remark(run, &remark, at(10)).unwrap();
    }
    assert!(reader.annotation(run).unwrap().is_empty());
    assert!(reader.annotations(&[run]).unwrap().is_empty());
    assert_eq!(check(engine.path()).unwrap(), []);
}

#[test]
fn a_run_has_a_bounded_number_of_tags() {
    let (mut engine, run) = Engine::with_run();
    let many: Vec<String> = (0..33).map(|number| format!("t{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(matches!(engine.store.remark(run, &add(&many), at(1)), Err(StoreError::TooManyTags { found: 33, .. })));
    assert!(engine.store.reader().annotation(run).unwrap().is_empty());
    engine.store.remark(run, &add(&many[..32]), at(1)).unwrap();
    let unknown = engine.store.remark(RunId(Uuid::nil()), &add(&["a"]), at(1));
    assert!(matches!(unknown, Err(StoreError::UnknownRun { .. })));
}

#[test]
fn tags_of_a_submission_are_durable_with_it() {
    let mut engine = Engine::start();
    let mut run = new_run("one");
    run.idempotency_key = Some("key".to_owned());
    assert_eq!(engine.store.submit_tagged(run.clone(), None, tags(&["a"])).unwrap(), Submitted::New);
    let first = run.id;
    run.id = RunId(Uuid::now_v7());
    assert_eq!(engine.store.submit_tagged(run, None, tags(&["b"])).unwrap(), Submitted::Existing(first));
    assert_eq!(engine.store.reader().annotation(first).unwrap().tags, tags(&["a"]));
}

#[test]
fn a_kept_run_and_its_child_runs_are_not_pruned() {
    let (mut engine, run) = Engine::with_run();
    let mut child = new_run("child");
    child.options = RunOptions { origin: Some(Origin::Child { run, step: "a".into() }), ..RunOptions::default() };
    engine.store.submit(child.clone()).unwrap();
    engine.commit(run, [Event::Run(RunEvent::CancelRequested), Event::Run(RunEvent::Canceled)]).unwrap();
    engine.store.remark(run, &Remark::Keep, at(1)).unwrap();
    assert_eq!(engine.store.reader().kept_runs().unwrap(), BTreeSet::from([run, child.id]));
    let refused = engine.commit(run, [Event::Run(RunEvent::Pruned)]);
    assert!(matches!(refused, Err(StoreError::Kept { run: kept }) if kept == run), "{refused:?}");
    engine.store.remark(run, &Remark::KeepNoLonger, at(2)).unwrap();
    engine.store.remark(run, &add(&["a"]), at(2)).unwrap();
    engine.commit(run, [Event::Run(RunEvent::Pruned)]).unwrap();
    assert!(matches!(engine.store.remark(run, &Remark::Keep, at(3)), Err(StoreError::Pruned { .. })));
    assert_eq!(engine.store.reader().annotation(run).unwrap().tags, tags(&["a"]), "a pruned run keeps its tags");
    assert_eq!(check(engine.path()).unwrap(), []);
}

/// `01a22ad7-3f0d-7097-a15c-` and this last group.
fn with_end(number: u32, end: &str) -> RunId {
    RunId(format!("01a22ad7-3f0d-7{number:03}-a15c-{end}").parse().unwrap())
}

#[test]
fn the_random_end_of_an_id_finds_its_run() {
    let mut engine = Engine::start();
    let ids = [with_end(1, "630001d33547"), with_end(2, "63ff01d33547"), with_end(3, "01a2bbbbbbbb")];
    for (id, name) in ids.iter().zip(["x", "y", "z"]) {
        let mut run = new_run(name);
        run.id = *id;
        engine.store.submit(run).unwrap();
    }
    let resolve = |text: &str| engine.store.reader().resolve_run(text);
    assert_eq!(resolve("630001d3").unwrap(), ids[0]);
    assert_eq!(resolve("63FF").unwrap(), ids[1]);
    assert_eq!(resolve("01a22ad7-3f0d-7003").unwrap(), ids[2]);
    assert!(matches!(resolve("63"), Err(StoreError::AmbiguousRun { candidates, .. }) if candidates.len() == 2));
    // It may be the start of an id as well.
    assert!(matches!(resolve("01a2"), Err(StoreError::AmbiguousRun { candidates, .. }) if candidates.len() == 3));
}

#[test]
fn the_name_of_a_workflow_means_its_newest_run_that_no_step_started() {
    let mut engine = Engine::start();
    let submit = |engine: &mut Engine, name: &str, origin: Option<Origin>| {
        let mut run = new_run(name);
        run.options = RunOptions { origin, ..RunOptions::default() };
        let id = run.id;
        engine.store.submit(run).unwrap();
        id
    };
    let first = submit(&mut engine, "flow-1", None);
    assert_eq!(engine.store.reader().resolve_run("flow").unwrap(), first);
    let second = submit(&mut engine, "flow-2", None);
    submit(&mut engine, "flow-2.a", Some(Origin::Child { run: second, step: "a".into() }));
    assert_eq!(engine.store.reader().resolve_run("flow").unwrap(), second);
    let best = submit(&mut engine, "best", None);
    assert_eq!(engine.store.reader().resolve_run("flow").unwrap(), best);
    assert_eq!(engine.store.reader().resolve_run("flow-2").unwrap(), second);
    assert!(engine.store.reader().resolve_run("flo").is_err());
    // A run of this name comes first.
    let named = submit(&mut engine, "flow", None);
    submit(&mut engine, "flow-5", None);
    assert_eq!(engine.store.reader().resolve_run("flow").unwrap(), named);
}
