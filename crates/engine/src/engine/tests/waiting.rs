//! Tests waits, decisions, signals and child runs, with an engine in this process.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::json;

use crate::engine::tests::{open, options, submit_with};
use crate::inbox::Inbox;
use crate::*;
use stepwell_base::ids::{RunId, StepId};
use stepwell_run::event::{Event, RunEvent, StepEvent, StepEventKind, Verdict, Wait};
use stepwell_run::request::Request;
use stepwell_run::run_options::{Origin, Reuse, RunOptions};
use stepwell_run::status::{RunStatus, StepStatus};
use stepwell_store::{EngineLock, NewRun, Reader, RunRow, Store};
use stepwell_workflow::limits::Limits;
use stepwell_workflow::parse::{Library, Source};

/// Workflow files `child.toml` and `grandchild.toml`.
pub(crate) struct Shelf(&'static [(&'static str, &'static str)]);

impl Library for Shelf {
    fn find(&self, workflow: &str, _from: &str) -> Result<Source, String> {
        let found = self.0.iter().find(|(name, _)| *name == workflow);
        let (origin, text) = found.ok_or_else(|| format!("there is no workflow `{workflow}`"))?;
        Ok(Source { origin: (*origin).to_owned(), text: (*text).to_owned(), folder: PathBuf::new() })
    }

    fn inside(&self, _workflow: &str) -> &dyn Library {
        self
    }
}

const CHILD: &str = r#"
name = "child"
[params]
n = 1
ok = true
[[step]]
id = "square"
kind = "noop"
with.values.result = "{{ params.n * params.n }}"
[[step]]
id = "ask"
kind = "approval"
when = "not params.ok"
with.prompt = "continue with {{ params.n }}?"
[[step]]
id = "end"
kind = "noop"
needs = ["square"]
[outputs]
square = "{{ steps.square.values.result }}"
from = "{{ run.name }}"
"#;

const FAN_OUT: &str = r#"
name = "parent"
[params]
ok = true
[[step]]
id = "square"
kind = "workflow"
for_each = "range(1, 4)"
with = { workflow = "child.toml", params = { n = "{{ item }}", ok = "{{ params.ok }}" } }
[[step]]
id = "sum"
kind = "noop"
with.values.sum = "{{ steps.square.values.square | sum }}"
"#;

pub(crate) fn shelf() -> Shelf {
    Shelf(&[("child.toml", CHILD)])
}

pub(crate) fn runs(state_dir: &Path) -> Vec<RunRow> {
    Reader::open(state_dir).unwrap().runs().unwrap().all().unwrap()
}

pub(crate) fn status(state_dir: &Path, run: RunId) -> RunStatus {
    Reader::open(state_dir).unwrap().run(run).unwrap().stored_status
}

fn value(state_dir: &Path, run: RunId, step: &str, name: &str) -> serde_json::Value {
    let row = Reader::open(state_dir).unwrap().step(run, &step.into()).unwrap();
    row.outputs.unwrap_or_else(|| panic!("{step} has no outputs")).values[name].clone()
}

fn drive_run(state_dir: &Path, run: RunId) -> Outcome {
    drive(options(state_dir, Scope::Run(run)), &mut Quiet).unwrap()
}

pub(crate) fn drive_until_idle(state_dir: &Path) -> Outcome {
    drive(options(state_dir, Scope::All { exit_when_idle: true }), &mut Quiet).unwrap()
}

pub(crate) fn decide(step: &str, verdict: Verdict) -> Request {
    Request::Decide { step: step.into(), verdict, approver: "ada".into(), comment: None }
}

fn events(state_dir: &Path, run: RunId, matches: impl Fn(&Event) -> bool) -> usize {
    let events = Reader::open(state_dir).unwrap().events(Some(run), 0).unwrap();
    events.iter().filter(|row| matches(&row.event)).count()
}

pub(crate) fn assert_sound(state_dir: &Path) {
    assert_eq!(stepwell_store::check(state_dir).unwrap(), []);
}

#[test]
fn children_of_a_fan_out_give_their_outputs_to_the_parent() {
    let folder = tempfile::tempdir().unwrap();
    let run = submit_with(folder.path(), FAN_OUT, &shelf());
    assert_eq!(drive_run(folder.path(), run), Outcome::Succeeded);
    assert_eq!(value(folder.path(), run, "sum", "sum"), 14);
    assert_eq!(value(folder.path(), run, "square[1]", "from"), "parent.square[1]");
    let children: Vec<RunRow> = runs(folder.path()).into_iter().filter(|row| row.parent() == Some(run)).collect();
    assert_eq!(children.len(), 3);
    assert!(children.iter().all(|row| row.stored_status == RunStatus::Succeeded));
    assert_eq!(Reader::open(folder.path()).unwrap().step(run, &"square[0]".into()).unwrap().attempts, 0);
    assert_sound(folder.path());
}

#[test]
fn a_child_that_was_submitted_before_the_engine_died_is_not_submitted_again() {
    let folder = tempfile::tempdir().unwrap();
    let run = submit_with(folder.path(), FAN_OUT, &shelf());
    // The database looks like this when the engine dies between the two commits.
    let mut store = Store::open(folder.path()).unwrap();
    let spec = store.reader().spec(run).unwrap();
    let pinned = spec.steps[0].child.clone().unwrap();
    let params = json!({ "n": 2 }).as_object().cloned().unwrap();
    let child = stepwell_workflow::parse::child_workflow(&pinned, &params, &stepwell_steps::catalog()).unwrap();
    let early = RunId(uuid::Uuid::now_v7());
    let origin = Some(Origin::Child { run, step: StepId::from("square[1]") });
    let new = NewRun {
        id: early,
        name: "parent.square[1]".parse().unwrap(),
        spec_digest: stepwell_workflow::key::spec_digest(&child),
        spec: child,
        idempotency_key: Some(format!("child 1 of {run}/square[1]")),
        options: RunOptions { origin, ..RunOptions::default() },
        at: Timestamp::now(),
    };
    store.submit(new).unwrap();
    drop(store);
    assert_eq!(drive_run(folder.path(), run), Outcome::Succeeded);
    assert_eq!(runs(folder.path()).len(), 4, "the parent and three children");
    let waits = |event: &Event| matches!(event.step_kind(), Some(StepEventKind::Waiting { wait: Wait::Run { run } }) if *run == early);
    assert_eq!(events(folder.path(), run, waits), 1);
}

#[test]
fn a_failed_child_fails_its_parent_and_is_taken_up_again_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let workflow = FAN_OUT.replace("ok = true", "ok = false");
    let run = submit_with(folder.path(), &workflow, &shelf());
    assert_eq!(drive_until_idle(folder.path()), Outcome::Idle);
    let children: Vec<RunRow> = runs(folder.path()).into_iter().filter(|row| row.parent() == Some(run)).collect();
    assert_eq!(children.len(), 3);
    for (index, child) in children.iter().enumerate() {
        let verdict = if index == 1 { Verdict::Rejected } else { Verdict::Approved };
        assert_eq!(ask(folder.path(), child.id, &decide("ask", verdict)).unwrap(), Asked::Done);
    }
    assert_eq!(drive_run(folder.path(), run), Outcome::Failed);
    let failure = Reader::open(folder.path()).unwrap().run(run).unwrap().failure.unwrap();
    assert!(failure.message.contains("parent.square[1] failed: step `ask`: rejected by ada"), "{failure}");
    assert_eq!(status(folder.path(), children[1].id), RunStatus::Failed);

    // The same child resumes, and its first steps do not repeat.
    assert!(ask(folder.path(), run, &decide("square[1]", Verdict::Approved)).is_ok_and(|asked| asked != Asked::Done));
    let mut resumed = options(folder.path(), Scope::Run(run));
    resumed.slots = 1;
    let state_dir = folder.path().to_owned();
    let child = children[1].id;
    let approver = std::thread::spawn(move || {
        loop {
            match ask(&state_dir, child, &decide("ask", Verdict::Approved)) {
                Ok(Asked::Done) => return,
                _ => std::thread::sleep(std::time::Duration::from_millis(20)),
            }
        }
    });
    assert_eq!(drive(resumed, &mut Quiet).unwrap(), Outcome::Succeeded);
    approver.join().unwrap();
    assert_eq!(runs(folder.path()).len(), 4);
    let started = |event: &Event| matches!(event, Event::Step(StepEvent { step, kind: StepEventKind::AttemptStarted { .. }, .. }) if step.as_str() == "square");
    assert_eq!(events(folder.path(), child, started), 1);
    assert_sound(folder.path());
}

#[test]
fn canceling_a_parent_cancels_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let workflow = FAN_OUT.replace("ok = true", "ok = false");
    let run = submit_with(folder.path(), &workflow, &shelf());
    assert_eq!(drive_until_idle(folder.path()), Outcome::Idle);
    let child = child_named(folder.path(), "parent.square[0]");
    assert_eq!(cancel(folder.path(), child, &Limits::default()).unwrap(), Canceled::Done);
    assert_eq!(drive_until_idle(folder.path()), Outcome::Idle);
    let reader = Reader::open(folder.path()).unwrap();
    let failure = reader.step(run, &"square[0]".into()).unwrap().failure.unwrap();
    assert!(failure.message.contains("parent.square[0] was canceled"), "{failure}");
    drop(reader);
    assert_eq!(cancel(folder.path(), run, &Limits::default()).unwrap(), Canceled::Done);
    assert!(runs(folder.path()).iter().all(|row| row.stored_status == RunStatus::Canceled));
    assert_sound(folder.path());
}

fn child_named(state_dir: &Path, name: &str) -> RunId {
    runs(state_dir).into_iter().find(|row| row.name == name).unwrap().id
}

#[test]
fn a_canceled_child_is_replaced_when_its_parent_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let workflow = FAN_OUT.replace("ok = true", "ok = false").replace("range(1, 4)", "range(1, 2)");
    let run = submit_with(folder.path(), &workflow, &shelf());
    assert_eq!(drive_until_idle(folder.path()), Outcome::Idle);
    let first = child_named(folder.path(), "parent.square[0]");
    assert_eq!(cancel(folder.path(), first, &Limits::default()).unwrap(), Canceled::Done);
    assert_eq!(drive_run(folder.path(), run), Outcome::Failed);
    assert_eq!(ask(folder.path(), run, &Request::Resume).unwrap(), Asked::Done);
    assert_eq!(drive_until_idle(folder.path()), Outcome::Idle);
    let second = child_named(folder.path(), "parent.square[0]");
    assert_ne!(first, second);
    assert_eq!(ask(folder.path(), second, &decide("ask", Verdict::Approved)).unwrap(), Asked::Done);
    assert_eq!(drive_until_idle(folder.path()), Outcome::Idle);
    assert_eq!(status(folder.path(), run), RunStatus::Succeeded);
}

#[test]
fn a_paused_parent_pauses_its_children_until_it_continues() {
    let folder = tempfile::tempdir().unwrap();
    let workflow = FAN_OUT.replace("ok = true", "ok = false");
    let run = submit_with(folder.path(), &workflow, &shelf());
    assert_eq!(drive_until_idle(folder.path()), Outcome::Idle);
    let pause = Request::Pause { reason: "lunch".to_owned() };
    assert_eq!(ask(folder.path(), run, &pause).unwrap(), Asked::Done);
    assert!(runs(folder.path()).iter().all(|row| row.stored_status == RunStatus::Paused));
    assert_eq!(drive_run(folder.path(), run), Outcome::Paused);
    // A child that a person pauses too stays paused.
    let own = runs(folder.path()).into_iter().find(|row| row.name == "parent.square[2]").unwrap().id;
    assert_eq!(ask(folder.path(), own, &Request::Resume).unwrap(), Asked::Done);
    assert_eq!(status(folder.path(), own), RunStatus::Running);
    // The text of the reason must not matter.
    let pause = Request::Pause { reason: "its parent run is paused".to_owned() };
    assert_eq!(ask(folder.path(), own, &pause).unwrap(), Asked::Done);
    assert_eq!(ask(folder.path(), run, &Request::Resume).unwrap(), Asked::Done);
    assert_eq!(drive_until_idle(folder.path()), Outcome::Idle);
    for row in runs(folder.path()) {
        let expected = if row.id == own { RunStatus::Paused } else { RunStatus::Running };
        assert_eq!(row.stored_status, expected, "{}", row.name);
    }
}

#[test]
fn templated_params_are_checked_when_the_child_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let workflow = FAN_OUT.replace("\"{{ item }}\"", "\"{{ 'x' * item if false else 'many' }}\"");
    let run = submit_with(folder.path(), &workflow, &shelf());
    assert_eq!(drive_run(folder.path(), run), Outcome::Failed);
    let failure = Reader::open(folder.path()).unwrap().run(run).unwrap().failure.unwrap();
    assert!(failure.message.contains("child.toml: param `n` must be an integer"), "{failure}");
    assert_eq!(runs(folder.path()).len(), 1);
}

#[test]
fn children_of_a_run_that_is_never_reused_are_not_reused() {
    let folder = tempfile::tempdir().unwrap();
    let run = submit_with(folder.path(), FAN_OUT, &shelf());
    let mut store = Store::open(folder.path()).unwrap();
    let spec = store.reader().spec(run).unwrap();
    let id = RunId(uuid::Uuid::now_v7());
    let options = RunOptions { reuse: Reuse::Never, ..RunOptions::default() };
    let name = "again".parse().unwrap();
    let spec_digest = stepwell_workflow::key::spec_digest(&spec);
    let new = NewRun { id, name, spec, spec_digest, idempotency_key: None, options, at: Timestamp::now() };
    store.submit(new).unwrap();
    drop(store);
    assert_eq!(drive_run(folder.path(), id), Outcome::Succeeded);
    let children = runs(folder.path()).into_iter().filter(|row| row.parent() == Some(id));
    assert!(children.into_iter().all(|row| row.options.reuse == Reuse::Never));
    assert_eq!(status(folder.path(), run), RunStatus::Pending, "nobody has asked for the first one");
}

#[test]
fn a_request_is_answered_once_however_often_the_engine_is_woken() {
    let folder = tempfile::tempdir().unwrap();
    let run = submit_with(
        folder.path(),
        "name = \"w\"\n[[step]]\nid = \"a\"\nkind = \"signal\"\nwith.name = \"go\"\n",
        &shelf(),
    );
    let mut client = Store::open(folder.path()).unwrap();
    let signal = Request::Signal { name: "go".to_owned(), payload: json!(1) };
    client.request(run, &signal, Timestamp::now()).unwrap();
    let lock = EngineLock::acquire(folder.path()).unwrap();
    let inbox = Inbox::open(folder.path()).unwrap();
    let mut quiet = Quiet;
    let mut engine = open(&lock, options(folder.path(), Scope::Requests), &mut quiet, &inbox);
    engine.answer_requests().unwrap();
    engine.answer_requests().unwrap();
    engine.flush().unwrap();
    engine.answer_requests().unwrap();
    engine.flush().unwrap();
    let received = |event: &Event| matches!(event, Event::Run(RunEvent::SignalReceived { .. }));
    assert_eq!(events(folder.path(), run, received), 1);
}

#[test]
fn only_the_run_that_was_asked_for_is_driven() {
    let folder = tempfile::tempdir().unwrap();
    let wanted = submit_with(folder.path(), "name = \"a\"\n[[step]]\nid = \"a\"\nkind = \"noop\"\n", &shelf());
    let other = submit_with(folder.path(), "name = \"b\"\n[[step]]\nid = \"b\"\nkind = \"noop\"\n", &shelf());
    let mut client = Store::open(folder.path()).unwrap();
    let signal = Request::Signal { name: "go".to_owned(), payload: json!(1) };
    client.request(other, &signal, Timestamp::now()).unwrap();
    assert_eq!(drive_run(folder.path(), wanted), Outcome::Succeeded);
    assert_eq!(status(folder.path(), other), RunStatus::Pending, "a signal does not start a run");
    assert_eq!(Reader::open(folder.path()).unwrap().free_signals(other).unwrap().len(), 1);
}

#[test]
fn requests_that_do_not_fit_are_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let workflow = FAN_OUT.replace("ok = true", "ok = false");
    submit_with(folder.path(), &workflow, &shelf());
    assert_eq!(drive_until_idle(folder.path()), Outcome::Idle);
    let child = runs(folder.path()).into_iter().find(|row| row.name == "parent.square[0]").unwrap().id;
    let refused = |request: &Request| match ask(folder.path(), child, request).unwrap() {
        Asked::Refused(why) => why,
        other => panic!("{other:?}"),
    };
    assert!(refused(&decide("square", Verdict::Approved)).contains("those that do: `ask`"));
    assert_eq!(ask(folder.path(), child, &decide("ask", Verdict::Approved)).unwrap(), Asked::Done);
    assert!(refused(&decide("ask", Verdict::Approved)).contains("has ended"));
    assert!(refused(&Request::Signal { name: "go".into(), payload: json!(null) }).contains("has ended"));
    let reader = Reader::open(folder.path()).unwrap();
    assert_eq!(reader.step(child, &"ask".into()).unwrap().status, StepStatus::Succeeded);
    assert_eq!(reader.decisions(child).unwrap().len(), 1);
}
