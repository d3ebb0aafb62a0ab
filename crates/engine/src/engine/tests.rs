//! Tests the engine in this process, with kinds that need no other process.

mod history;
mod timeouts;
mod waiting;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use crate::clock::SystemClock;
use crate::engine::Engine;
use crate::engine::state::attempts::Running;
use crate::engine::state::run::{Run, placement};
use crate::executors::{Attempt, AttemptId, Exit, Local, Report, Sweep, WorkerId};
use crate::inbox::{CAPACITY, Inbox, Message};
use crate::*;
use stepwell_base::ids::{Fence, RunId, StepId};
use stepwell_base::protocol::{MetricRow, Progress, ToAttempt};
use stepwell_run::apply::apply;
use stepwell_run::event::{Event, ProcessIdentity, Recorded, StepEvent, StepEventKind};
use stepwell_run::run_options::RunOptions;
use stepwell_run::state::RunState;
use stepwell_run::status::{RunStatus, StepStatus};
use stepwell_steps::{catalog, own_binary};
use stepwell_store::{EngineLock, NewRun, Reader, Store};
use stepwell_workflow::limits::Limits;
use stepwell_workflow::pools::{Held, Pool};
use stepwell_workflow::rate_limit::RateLimit;
use stepwell_workflow::{key, parse};

#[derive(Default)]
struct Recorder {
    events: Vec<Recorded>,
    warnings: usize,
}

impl Observer for Recorder {
    fn event(&mut self, recorded: &Recorded) {
        self.events.push(recorded.clone());
    }

    fn progress(&mut self, _run: RunId, _step: &StepId, _progress: &Progress) {}

    fn metric(&mut self, _run: RunId, _step: &StepId, _row: &MetricRow) {}

    fn warn(&mut self, _message: &str) {
        self.warnings += 1;
    }
}

fn submit(state_dir: &Path, workflow: &str) -> RunId {
    submit_as(state_dir, workflow, RunOptions::default(), &parse::NoLibrary)
}

pub(crate) fn submit_with(state_dir: &Path, workflow: &str, library: &dyn parse::Library) -> RunId {
    submit_as(state_dir, workflow, RunOptions::default(), library)
}

fn submit_as(state_dir: &Path, workflow: &str, options: RunOptions, library: &dyn parse::Library) -> RunId {
    let spec = parse::workflow(workflow, "w.toml", &[], &catalog(), library).unwrap();
    let id = RunId(Uuid::now_v7());
    let new = NewRun {
        id,
        name: spec.name.parse().unwrap(),
        spec_digest: key::spec_digest(&spec),
        spec,
        idempotency_key: None,
        options,
        at: Timestamp::now(),
    };
    Store::open(state_dir).unwrap().submit(new).unwrap();
    id
}

pub(crate) fn options(state_dir: &Path, scope: Scope) -> EngineOptions {
    EngineOptions {
        state_dir: state_dir.to_owned(),
        scope,
        slots: 2,
        limits: Default::default(),
        crash_loop_limit: 0,
        log_limit: 0,
        start: Start::GoOn,
    }
}

pub(crate) type LocalEngine<'a> = Engine<'a, Local, SystemClock>;

pub(crate) fn open<'a>(
    lock: &'a EngineLock,
    options: EngineOptions,
    observer: &'a mut dyn Observer,
    inbox: &Inbox,
) -> LocalEngine<'a> {
    let executor = Local::new(own_binary().unwrap(), inbox.sink(), options.log_limit);
    Engine::open(lock, options, observer, inbox, (executor, SystemClock::start())).unwrap()
}

const WORKFLOW: &str = r#"
name = "w"
[[step]]
id = "list"
kind = "noop"
with.values.items = [1, 2, 3]
[[step]]
id = "each"
kind = "noop"
for_each = "steps.list.values.items"
with.values.double = "{{ item * 2 }}"
[[step]]
id = "all"
kind = "noop"
with.values.doubles = "{{ steps.each.values.double }}"
[[step]]
id = "broken"
kind = "noop"
with.values.x = "{{ steps.list.values.items[7].y }}"
[[step]]
id = "waiting"
kind = "noop"
needs = ["broken"]
"#;

#[test]
fn events_replay_to_what_the_tables_say() {
    let folder = tempfile::tempdir().unwrap();
    let run = submit(folder.path(), WORKFLOW);
    let mut recorder = Recorder::default();
    let outcome = drive(options(folder.path(), Scope::Run(run)), &mut recorder).unwrap();
    assert_eq!(outcome, Outcome::Failed);

    let reader = Reader::open(folder.path()).unwrap();
    let spec = Arc::new(reader.spec(run).unwrap());
    let mut replayed = RunState::new(run, spec.clone(), placement);
    for row in reader.events(Some(run), 0).unwrap() {
        apply(&mut replayed, row.at, &row.event);
    }
    let rows = reader.steps(run).unwrap();
    let restored = state_from_rows(spec, &reader.run(run).unwrap(), &rows, placement);
    assert_eq!(restored.end, replayed.end);
    assert_eq!(rows.len(), 8);
    for row in &rows {
        let (a, b) = (restored.step(&row.id).unwrap(), replayed.step(&row.id).unwrap());
        assert_eq!(
            (&a.state, a.fence, a.attempts, a.failures, &a.key),
            (&b.state, b.fence, b.attempts, b.failures, &b.key)
        );
    }
    let status = |id: &str| rows.iter().find(|row| row.id.as_str() == id).unwrap().status;
    assert_eq!(status("all"), StepStatus::Succeeded);
    assert_eq!(status("broken"), StepStatus::Failed);
    assert_eq!(status("waiting"), StepStatus::Pending);
    // The observer has seen exactly what was committed after the submission.
    let committed = reader.events(Some(run), 0).unwrap();
    let seen = &committed[committed.len() - recorder.events.len()..];
    assert!(seen.iter().zip(&recorder.events).all(|(row, recorded)| row.event == recorded.event));
}

#[test]
fn a_worker_takes_submitted_runs_and_goes_idle() {
    let folder = tempfile::tempdir().unwrap();
    let good = WORKFLOW.split("[[step]]\nid = \"broken\"").next().unwrap();
    let first = submit(folder.path(), good);
    let second = submit(folder.path(), &good.replace("name = \"w\"", "name = \"v\""));
    let status = |run| Reader::open(folder.path()).unwrap().run(run).unwrap().stored_status;
    assert_eq!(status(first), RunStatus::Pending);
    let outcome = drive(options(folder.path(), Scope::All { exit_when_idle: true }), &mut Quiet).unwrap();
    assert_eq!(outcome, Outcome::Idle);
    assert_eq!((status(first), status(second)), (RunStatus::Succeeded, RunStatus::Succeeded));
}

#[test]
fn canceling_a_pending_run_needs_no_engine() {
    let folder = tempfile::tempdir().unwrap();
    let run = submit(folder.path(), WORKFLOW);
    assert_eq!(cancel(folder.path(), run, &Limits::default()).unwrap(), Canceled::Done);
    assert_eq!(cancel(folder.path(), run, &Limits::default()).unwrap(), Canceled::EndedBefore(RunStatus::Canceled));
}

#[test]
fn an_unknown_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    submit(folder.path(), WORKFLOW);
    let unknown = Scope::Run(RunId(Uuid::now_v7()));
    assert!(matches!(drive(options(folder.path(), unknown), &mut Quiet), Err(EngineError::Store(_))));
}

/// Renders steps `PREFIX0`, `PREFIX1`, ..., each with the lines of `more`.
fn steps(prefix: &str, count: usize, more: &str) -> String {
    (0..count).map(|i| format!("[[step]]\nid = \"{prefix}{i}\"\nkind = \"noop\"\n{more}\n")).collect()
}

fn drive_all(state_dir: &Path, limits: Limits) -> Vec<Recorded> {
    let mut recorder = Recorder::default();
    let options = EngineOptions { limits, ..options(state_dir, Scope::All { exit_when_idle: true }) };
    assert_eq!(drive(options, &mut recorder).unwrap(), Outcome::Idle);
    recorder.events
}

fn started(events: &[Recorded]) -> Vec<String> {
    let started = events.iter().filter_map(|recorded| match &recorded.event {
        Event::Step(StepEvent { step, kind: StepEventKind::AttemptStarted { .. }, .. }) => Some(step.to_string()),
        _ => None,
    });
    started.collect()
}

#[test]
fn the_highest_priority_is_first_and_equal_ones_are_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let low = format!("name = \"low\"\n{}{}", steps("l", 2, ""), steps("h", 2, "priority = 9"));
    let high = format!("name = \"high\"\n{}{}", steps("x", 2, "priority = -1"), steps("y", 1, ""));
    submit(folder.path(), &low);
    submit_as(folder.path(), &high, RunOptions { priority: 3, ..RunOptions::default() }, &parse::NoLibrary);
    submit(folder.path(), &format!("name = \"late\"\n{}", steps("z", 1, "")));
    let events = drive_all(folder.path(), Limits::default());
    assert_eq!(started(&events), ["y0", "x0", "x1", "h0", "h1", "l0", "l1", "z0"]);
}

fn pools(gpus: usize, memory: u64) -> Limits {
    let devices = Pool::Devices((0..gpus).map(|i| format!("gpu:{i}")).collect());
    let pools = [("gpu".to_owned(), devices), ("memory".to_owned(), Pool::Amount(memory))];
    Limits { pools: stepwell_workflow::pools::Pools(pools.into()), ..Limits::default() }
}

#[test]
fn a_unit_is_in_one_hand_at_a_time_and_large_requests_are_not_overtaken() {
    let folder = tempfile::tempdir().unwrap();
    let (small, large) = ("resources = { gpu = 1 }", "resources = { gpu = 2, memory = 4 }");
    let workflow = format!("name = \"w\"\n{}{}{}", steps("a", 3, small), steps("b", 1, large), steps("c", 20, small));
    submit(folder.path(), &workflow);
    let events = drive_all(folder.path(), pools(2, 4));
    let mut held: Vec<(StepId, Held)> = Vec::new();
    for recorded in &events {
        match &recorded.event {
            Event::Step(StepEvent { step, kind: StepEventKind::AttemptStarted { resources, .. }, .. }) => {
                held.push((step.clone(), resources.clone()))
            }
            Event::Step(StepEvent { step, kind: StepEventKind::Succeeded { .. }, .. }) => {
                held.retain(|(holder, _)| holder != step)
            }
            _ => {}
        }
        let mut gpus: Vec<&String> = held.iter().flat_map(|(_, held)| &held["gpu"]).collect();
        gpus.sort();
        assert!(gpus.windows(2).all(|pair| pair[0] != pair[1]) && gpus.len() <= 2, "{held:?}");
    }
    let order = started(&events);
    assert_eq!(order.len(), 24);
    let place = |id: &str| order.iter().position(|step| step == id).unwrap();
    assert_eq!((place("a2"), place("b0")), (2, 3), "{order:?}");
}

#[test]
fn impossible_demands_fail_with_a_hint_and_skipped_steps_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let failure = |more: &str| {
        let name = format!("w{}", more.len());
        let run = submit(folder.path(), &format!("name = \"{name}\"\n{}", steps("a", 1, more)));
        drive_all(folder.path(), pools(2, 4));
        Reader::open(folder.path()).unwrap().run(run).unwrap().failure
    };
    let failed = failure("resources = { gpu = 3 }").unwrap();
    assert!(failed.message.contains("asks for 3 of `gpu`, but the pool has only 2"), "{failed:?}");
    let failed = failure("resources = { tpu = 1 }").unwrap();
    assert!(failed.hint.unwrap().contains("`tpu = 1` in stepwell.toml"));
    let failed = failure("rate_limit = \"api\"").unwrap();
    assert!(failed.hint.unwrap().contains("[rate_limits]"));
    assert_eq!(failure("resources = { gpu = 3 }\nwhen = \"false\""), None);
}

#[test]
fn a_rate_limit_holds_over_retries_of_the_engine() {
    let folder = tempfile::tempdir().unwrap();
    let per = std::time::Duration::from_millis(1500);
    let limits = || {
        let rate_limits = [("api".to_owned(), RateLimit { count: 2, per })].into();
        Limits { rate_limits, ..Limits::default() }
    };
    for name in ["one", "two"] {
        // Each `drive` is a new engine, which must find the starts of the previous one.
        submit(folder.path(), &format!("name = \"{name}\"\n{}", steps("a", 3, "rate_limit = \"api\"")));
        drive_all(folder.path(), limits());
    }
    let reader = Reader::open(folder.path()).unwrap();
    let starts: Vec<Timestamp> = reader
        .events(None, 0)
        .unwrap()
        .into_iter()
        .filter_map(|row| matches!(row.event.step_kind(), Some(StepEventKind::AttemptStarted { .. })).then_some(row.at))
        .collect();
    assert_eq!(starts.len(), 6);
    for three in starts.windows(3) {
        let span = three[2].duration_since(three[0]);
        assert!(span.as_millis() >= per.as_millis() as i128, "{span} for three starts: {starts:?}");
    }
}

const WAITS_AND_READS: &str = r#"
name = "w"
[[step]]
id = "each"
kind = "noop"
for_each = "range(3)"
with.values.double = "{{ item * 2 }}"
[[step]]
id = "broken"
kind = "noop"
with.values.x = "{{ run.name | int }}"
[[step]]
id = "reads"
kind = "noop"
needs = ["broken"]
with.values.doubles = "{{ steps.each.values.double }}"
[[step]]
id = "waits"
kind = "noop"
needs = ["each", "broken"]
"#;

#[test]
fn after_a_restart_only_outputs_that_a_template_names_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let run = submit(folder.path(), WAITS_AND_READS);
    assert_eq!(drive(options(folder.path(), Scope::Run(run)), &mut Quiet).unwrap(), Outcome::Failed);
    let run = Run::load(&Reader::open(folder.path()).unwrap(), run).unwrap();
    let read = |id: &str| run.reads_from_store(run.state.step(&id.into()).unwrap());
    assert_eq!(read("reads"), [StepId::from("each")]);
    assert_eq!(read("waits"), []);
}

/// Attempt of a worker that exists only as a number.
struct Imagined(WorkerId);

impl Attempt for Imagined {
    fn process(&self) -> Option<&ProcessIdentity> {
        None
    }

    fn worker(&self) -> WorkerId {
        self.0
    }

    fn send(&mut self, _message: &ToAttempt) {}

    fn terminate(&self) {}

    fn kill(&self) {}

    fn settled(&mut self, _reports: u64) {}

    fn reap(&mut self, _sweep: Sweep) -> Exit {
        Exit::default()
    }
}

#[test]
fn the_end_of_a_worker_that_has_lost_its_attempt_ends_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let lock = EngineLock::acquire(folder.path()).unwrap();
    let inbox = Inbox::open(folder.path()).unwrap();
    let mut observer = Recorder::default();
    let mut engine = open(&lock, options(folder.path(), Scope::Requests), &mut observer, &inbox);
    let id = AttemptId { run: RunId(Uuid::now_v7()), step: StepId::from("a"), fence: Fence(1) };
    let (dead, alive) = (WorkerId::next(), WorkerId::next());
    engine.attempts.insert(id.clone(), Running::new(Box::new(Imagined(alive)), 1, Held::new()));
    engine.on_message(Message::Attempt(id.clone(), dead, Report::Ended)).unwrap();
    assert!(engine.attempts.has(&id));
    engine.on_message(Message::Attempt(id.clone(), alive, Report::Ended)).unwrap();
    assert!(!engine.attempts.has(&id));
}

#[test]
fn those_who_never_fall_silent_wait_for_the_engine_and_do_not_keep_it() {
    let folder = tempfile::tempdir().unwrap();
    let lock = EngineLock::acquire(folder.path()).unwrap();
    let inbox = Inbox::open(folder.path()).unwrap();
    let mut observer = Recorder::default();
    let mut engine = open(&lock, options(folder.path(), Scope::Requests), &mut observer, &inbox);
    let sent = Arc::new(AtomicUsize::new(0));
    let talk = {
        let (sender, sent) = (inbox.sender.clone(), sent.clone());
        move || {
            while sender.send(Message::Warning("again".to_owned())).is_ok() {
                sent.fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    let talker = std::thread::spawn(talk);
    while sent.load(Ordering::SeqCst) < CAPACITY {
        std::thread::yield_now();
    }
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(sent.load(Ordering::SeqCst), CAPACITY, "the queue has an end");
    engine.listen(&inbox).unwrap();
    drop(engine);
    drop(inbox);
    talker.join().unwrap();
    assert!((1..=1 + CAPACITY).contains(&observer.warnings), "{}", observer.warnings);
}
