//! Submitting, fences, leases, names, requests and epochs.

use crate::{
    Answer, Batch, EngineLock, LeaseExtension, Reader, RequestRow, ScheduleRow, Store, StoreError, Submitted, check,
};
use stepwell_base::ids::{Fence, RunId, StepId, StepKey};
use stepwell_run::event::{Event, ProcessIdentity, RunEvent, StepEvent, StepEventKind};
use stepwell_run::request::Request;
use stepwell_run::status::{RunStatus, StepStatus};

use super::fixture::*;

#[test]
fn a_submitted_run_has_its_steps_and_those_without_needs_are_ready() {
    let mut engine = Engine::start();
    let run = engine.submit("one");
    let row = engine.store.reader().run(run).unwrap();
    assert_eq!((row.name.as_str(), row.workflow.as_str(), row.status), ("one", "flow", RunStatus::Pending));
    assert_eq!((row.created_at, row.updated_at, row.started_at), (at(0), at(0), None));
    assert_eq!(engine.store.reader().spec(run).unwrap(), spec());
    let steps = engine.store.reader().steps(run).unwrap();
    let seen: Vec<_> = steps.iter().map(|step| (step.id.as_str(), step.status, step.needs.len())).collect();
    assert_eq!(seen, [("a", StepStatus::Ready, 0), ("b", StepStatus::Pending, 1), ("c", StepStatus::Pending, 1)]);
    assert_eq!(steps[0].not_before, Some(at(0)));
    let events = engine.store.reader().events(Some(run), 0).unwrap();
    assert!(matches!(events[0].event, Event::Run(RunEvent::Submitted { .. })));
    assert!(matches!(events[1].event, Event::Step(StepEvent { kind: StepEventKind::Ready { .. }, .. })));
    assert_eq!(events.len(), 2);
}

/// A program may report any number.
#[test]
fn numbers_of_64_bits_are_read_back() {
    let (mut engine, run) = Engine::with_run();
    let mut largest = checkpoint(1);
    (largest.last_step, largest.last_doc_index, largest.tokens_so_far) =
        (Some(u64::MAX), Some(u64::MAX), Some(u64::MAX));
    let event = StepEventKind::CheckpointCommitted { checkpoint: largest.clone() }.under("a".into(), Fence(1));
    engine.commit(run, [started("a", 1), event]).unwrap();
    let mut given = outputs();
    given.artifacts.values_mut().for_each(|artifact| artifact.size = u64::MAX);
    let event = StepEventKind::Succeeded { outputs: given.clone() }.under("a".into(), Fence(1));
    engine.commit(run, [event]).unwrap();
    let step = engine.store.reader().step(run, &"a".into()).unwrap();
    assert_eq!((step.last_step, step.tokens_so_far, step.outputs), (Some(u64::MAX), Some(u64::MAX), Some(given)));
    assert_eq!(engine.store.reader().checkpoints(run, &"a".into()).unwrap()[0].checkpoint, largest);
    assert_eq!(check(engine.path()).unwrap(), []);
}

#[test]
fn an_active_name_is_taken_until_its_run_has_ended() {
    let mut engine = Engine::start();
    let run = engine.submit("one");
    let steps: [(Option<Event>, RunStatus); 4] = [
        (None, RunStatus::Pending),
        (Some(Event::Run(RunEvent::Started)), RunStatus::Running),
        (Some(Event::Run(RunEvent::Interrupted { reason: "x".to_owned() })), RunStatus::Interrupted),
        (Some(Event::Run(RunEvent::CancelRequested)), RunStatus::Canceling),
    ];
    for (event, status) in steps {
        engine.commit(run, event).unwrap();
        match engine.store.submit(new_run("one")) {
            Err(StoreError::NameActive { name, run: active, status: seen }) => {
                assert_eq!((name.as_str(), active, seen), ("one", run, status));
            }
            other => panic!("{status}: {other:?}"),
        }
    }
    engine.commit(run, [Event::Run(RunEvent::Canceled)]).unwrap();
    engine.submit("one");
}

#[test]
fn a_failed_run_does_not_resume_while_its_name_is_taken() {
    let (mut engine, run) = Engine::with_run();
    let failure = stepwell_base::failure::Failure::fatal("x");
    engine.commit(run, [Event::Run(RunEvent::Failed { step: "a".into(), failure })]).unwrap();
    let other = engine.submit("one");
    assert!(
        matches!(engine.commit(run, [Event::Run(RunEvent::Resumed)]), Err(StoreError::NameActive { run, .. }) if run == other)
    );
    engine.commit(other, [Event::Run(RunEvent::Canceled)]).unwrap();
    engine.commit(run, [Event::Run(RunEvent::Resumed)]).unwrap();
    let row = engine.store.reader().run(run).unwrap();
    assert_eq!((row.status, row.failure, row.finished_at), (RunStatus::Running, None, None));
}

#[test]
fn an_idempotency_key_gives_one_run() {
    let mut engine = Engine::start();
    let mut first = new_run("one");
    first.idempotency_key = Some("k".to_owned());
    let mut second = new_run("one");
    second.idempotency_key = Some("k".to_owned());
    let id = first.id;
    assert_eq!(engine.store.submit(first).unwrap(), Submitted::New);
    assert_eq!(engine.store.submit(second.clone()).unwrap(), Submitted::Existing(id));
    engine.commit(id, [Event::Run(RunEvent::Started), Event::Run(RunEvent::Succeeded)]).unwrap();
    assert_eq!(engine.store.submit(second).unwrap(), Submitted::Existing(id));
    assert_eq!(engine.store.reader().runs().unwrap().readable.len(), 1);
}

#[test]
fn a_claim_takes_the_next_fence_of_a_ready_step_only() {
    let (mut engine, run) = Engine::with_run();
    let before = engine.store.reader().events(None, 0).unwrap().len();
    let wrong_fence = |fence| match started("a", 1) {
        Event::Step(StepEvent {
            step,
            kind: StepEventKind::AttemptStarted { attempt, key, with, lease_expires_at, resources, .. },
            ..
        }) => {
            StepEventKind::AttemptStarted { attempt, key, with, lease_expires_at, resources }.under(step, Fence(fence))
        }
        other => other,
    };
    for event in [wrong_fence(0), wrong_fence(2), started("b", 1)] {
        assert_eq!(engine.commit(run, [event]).unwrap().stale, [0]);
    }
    assert_eq!(engine.store.reader().events(None, 0).unwrap().len(), before, "stale events are not logged");
    assert_eq!(engine.commit(run, [started("a", 1), started("a", 2)]).unwrap().stale, [1]);
    let step = engine.store.reader().step(run, &"a".into()).unwrap();
    assert_eq!((step.status, step.fence, step.attempts), (StepStatus::Running, Fence(1), 1));
    assert_eq!((step.lease_expires_at, step.started_at), (Some(at(30)), Some(at(1))));
    assert_eq!(step.with, Some(serde_json::json!({"x": 1})));
}

#[test]
fn an_old_fence_changes_nothing() {
    let (mut engine, run) = Engine::with_run();
    let process = ProcessIdentity { pid: 7, start_time: 8, boot_id: "boot".to_owned() };
    let spawned = |fence| StepEventKind::AttemptSpawned { process: process.clone() }.under("a".into(), Fence(fence));
    engine.commit(run, [started("a", 1), spawned(1)]).unwrap();
    assert_eq!(engine.store.reader().step(run, &"a".into()).unwrap().process, Some(process.clone()));
    engine.commit(run, [released("a", 1)]).unwrap();
    assert_eq!(engine.store.reader().step(run, &"a".into()).unwrap().process, None);
    engine.commit(run, [started("a", 2)]).unwrap();

    let before = (engine.store.reader().steps(run).unwrap(), engine.store.reader().events(None, 0).unwrap());
    let note = StepEventKind::Note { message: "x".to_owned() }.under("a".into(), Fence(1));
    let old = [
        spawned(1),
        note,
        checkpointed("a", 1, 5),
        rewound("a", 1, 0),
        failed("a", 1),
        released("a", 1),
        succeeded("a", 1),
    ];
    let count = old.len();
    assert_eq!(engine.commit(run, old).unwrap().stale, (0..count).collect::<Vec<_>>());
    engine.metrics(run, 1, &[1]).unwrap();
    assert_eq!(engine.store.reader().metrics(run, &"a".into(), 0).unwrap(), []);
    let lease =
        |fence| LeaseExtension { run, step: "a".into(), fence: Fence(fence), expires_at: at(99), progress: None };
    engine.store.commit(Batch { leases: &[lease(1)], ..Batch::default() }).unwrap();
    assert_eq!((engine.store.reader().steps(run).unwrap(), engine.store.reader().events(None, 0).unwrap()), before);

    engine.store.commit(Batch { leases: &[lease(2)], ..Batch::default() }).unwrap();
    assert_eq!(engine.store.reader().step(run, &"a".into()).unwrap().lease_expires_at, Some(at(99)));
    engine.commit(run, [succeeded("a", 2)]).unwrap();
    assert_eq!(engine.commit(run, [succeeded("a", 2)]).unwrap().stale, [0], "a step succeeds once");
}

#[test]
fn a_batch_with_an_impossible_event_changes_nothing() {
    let (mut engine, run) = Engine::with_run();
    let before = (engine.store.reader().steps(run).unwrap(), engine.store.reader().events(None, 0).unwrap());
    let error = engine.commit(run, [started("a", 1), ready("a")]).unwrap_err();
    assert!(matches!(error, StoreError::IllegalEvent { .. }), "{error}");
    assert_eq!(error.to_string(), format!("run {run}: event `step_ready` of step `a` is impossible in status running"));
    assert!(matches!(engine.commit(run, [started("a", 1), ready("nope")]), Err(StoreError::UnknownStep { .. })));
    assert!(matches!(
        engine.commit(new_run("x").id, [Event::Run(RunEvent::Started)]),
        Err(StoreError::UnknownRun { .. })
    ));
    assert!(matches!(engine.metrics(run, 0, &[1, 1]), Err(StoreError::DuplicateMetric { train_step: 1, .. })));
    assert_eq!((engine.store.reader().steps(run).unwrap(), engine.store.reader().events(None, 0).unwrap()), before);
    assert_eq!(engine.store.reader().metrics(run, &"a".into(), 0).unwrap(), []);
}

#[test]
fn an_equal_key_is_found_again_once_it_has_succeeded() {
    let (mut engine, run) = Engine::with_run();
    let key = StepKey("key-a".to_owned());
    engine.commit(run, [started("a", 1)]).unwrap();
    assert_eq!(engine.store.reader().find_reusable(&key).unwrap(), None);
    engine.commit(run, [succeeded("a", 1)]).unwrap();
    assert_eq!(engine.store.reader().find_reusable(&key).unwrap(), Some((run, outputs())));

    let other = engine.submit("two");
    let with = serde_json::json!({"x": 1});
    let reused = StepEventKind::Reused { key: key.clone(), with, from: run, outputs: outputs() }.of("a".into());
    engine.commit(other, [Event::Run(RunEvent::Started), reused]).unwrap();
    let step = engine.store.reader().step(other, &"a".into()).unwrap();
    assert_eq!((step.status, step.attempts, step.reused_from), (StepStatus::Succeeded, 0, Some(run)));
    assert_eq!(step.outputs, Some(outputs()));
    let (_, previous) = engine.store.reader().previous_step("flow", &"a".into(), other).unwrap().unwrap();
    assert_eq!((previous.key, previous.reused_from), (Some(key), None));
    assert_eq!(engine.store.reader().previous_step("flow", &"a".into(), run).unwrap(), None);
    assert_eq!(engine.store.reader().artifacts(None).unwrap().len(), 2);
    let listed = engine.store.reader().artifacts(Some(run)).unwrap();
    assert_eq!(listed, [(StepId::from("a"), "out".to_owned(), artifact("out"))]);
}

#[test]
fn requests_stay_until_a_batch_answers_them() {
    let (mut engine, run) = Engine::with_run();
    let mut client = Store::open(engine.path()).unwrap();
    let id = client.request(run, &Request::Cancel, at(5)).unwrap();
    assert!(matches!(client.request(new_run("x").id, &Request::Cancel, at(5)), Err(StoreError::UnknownRun { .. })));
    let requests = engine.store.reader().pending_requests().unwrap();
    assert_eq!(requests, [RequestRow { id, asked: Ok((run, Request::Cancel)) }]);
    assert_eq!(client.reader().answer(id).unwrap(), None);
    let events = recorded(run, [Event::Run(RunEvent::CancelRequested)]);
    let answer = Answer { id, refusal: None };
    let batch = Batch { events: &events, answers: std::slice::from_ref(&answer), ..Batch::default() };
    engine.store.commit(batch).unwrap();
    assert_eq!(engine.store.reader().pending_requests().unwrap(), []);
    assert_eq!(client.reader().answer(id).unwrap(), Some(answer));
    assert_eq!(client.reader().run(run).unwrap().status, RunStatus::Canceling);
}

#[test]
fn a_second_engine_is_refused_and_told_who_runs() {
    let engine = Engine::start();
    match EngineLock::acquire(engine.path()) {
        Err(StoreError::Locked { holder, .. }) => assert_eq!(holder.pid, std::process::id()),
        other => panic!("{other:?}"),
    }
    assert_eq!(EngineLock::holder(engine.path()).unwrap().pid, std::process::id());
    let dir = engine.stop();
    assert_eq!(EngineLock::holder(dir.path()), None);
    EngineLock::acquire(dir.path()).unwrap();
}

#[test]
fn after_a_new_epoch_the_commits_of_the_old_engine_fail() {
    let (mut engine, run) = Engine::with_run();
    let mut second = Store::open(engine.path()).unwrap();
    assert!(matches!(second.commit(Batch::default()), Err(StoreError::NoEpoch)));
    second.begin_epoch(&engine.lock).unwrap();
    match engine.commit(run, [started("a", 1)]) {
        Err(StoreError::StaleEpoch { ours: 1, current: 2, .. }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(engine.store.reader().step(run, &"a".into()).unwrap().status, StepStatus::Ready);
    second.commit(Batch { events: &recorded(run, [started("a", 1)]), ..Batch::default() }).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let foreign = EngineLock::acquire(elsewhere.path()).unwrap();
    assert!(matches!(second.begin_epoch(&foreign), Err(StoreError::NoEpoch)));
}

#[test]
fn a_running_run_without_an_engine_is_shown_as_interrupted() {
    let (engine, run) = Engine::with_run();
    let reader = Reader::open(engine.path()).unwrap();
    assert_eq!(reader.run(run).unwrap().status, RunStatus::Running);
    let dir = engine.stop();
    let row = reader.run(run).unwrap();
    assert_eq!((row.status, row.stored_status), (RunStatus::Interrupted, RunStatus::Running));
    assert_eq!(Reader::open(dir.path()).unwrap().runs().unwrap().readable[0].status, RunStatus::Interrupted);
}

#[test]
fn runs_are_found_by_id_prefix_name_and_last() {
    let mut engine = Engine::start();
    let mut ids = Vec::new();
    for (number, name) in ["one", "two", "abc"].into_iter().enumerate() {
        let mut run = new_run(name);
        let text = format!("0190000{number}-0000-7000-8000-00000000000{number}");
        run.id = text.parse().unwrap();
        ids.push(run.id);
        engine.store.submit(run).unwrap();
    }
    let resolve = |text: &str| engine.store.reader().resolve_run(text);
    assert_eq!(resolve("last").unwrap(), ids[2]);
    assert_eq!(resolve("two").unwrap(), ids[1]);
    assert_eq!(resolve(&ids[0].to_string().to_uppercase()).unwrap(), ids[0]);
    assert_eq!(resolve("01900001").unwrap(), ids[1]);
    assert_eq!(resolve("01900001-0").unwrap(), ids[1]);
    match resolve("0190") {
        Err(StoreError::AmbiguousRun { candidates, .. }) => assert_eq!(candidates, [ids[2], ids[1], ids[0]]),
        other => panic!("{other:?}"),
    }
    for text in ["", "%", "three", "0191", "01900001_"] {
        assert!(matches!(resolve(text), Err(StoreError::UnknownRun { .. })), "`{text}`");
    }
    engine.commit(ids[1], [Event::Run(RunEvent::Canceled)]).unwrap();
    let mut newer = new_run("two");
    newer.id = "01900009-0000-7000-8000-000000000009".parse::<RunId>().unwrap();
    engine.store.submit(newer.clone()).unwrap();
    assert_eq!(engine.store.reader().resolve_run("two").unwrap(), newer.id);
}

/// A slower process may settle a time earlier than the one already settled.
#[test]
fn what_a_schedule_has_done_is_never_due_again() {
    let mut engine = Engine::start();
    let row = ScheduleRow {
        name: "nightly".to_owned(),
        cron: "0 3 * * *".to_owned(),
        time_zone: "UTC".to_owned(),
        spec: spec(),
        options: Default::default(),
        created_at: at(0),
        paused_at: None,
        done_until: at(0),
    };
    engine.store.add_schedule(&row).unwrap();
    for (until, expected) in [(at(20), at(20)), (at(10), at(20)), (at(30), at(30))] {
        engine.store.settle_schedule("nightly", until).unwrap();
        assert_eq!(engine.store.reader().schedule("nightly").unwrap().done_until, expected);
    }
}
