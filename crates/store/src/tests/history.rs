//! The cost of a commit or a query does not grow with history.

use jiff::SignedDuration;
use serde_json::json;

use crate::{Answer, Batch, ScheduleRow, check};
use stepwell_base::ids::{RunId, StepId, StepKey};
use stepwell_run::event::{Event, Recorded, RunEvent, StepEvent, StepEventKind};
use stepwell_run::request::Request;

use super::fixture::*;
use crate::statements::{assert_bounded, statements};

fn signal(n: u64) -> Request {
    Request::Signal { name: "go".to_owned(), payload: json!(n) }
}

fn end(engine: &mut Engine, run: RunId) {
    let failure = stepwell_base::failure::Failure::fatal("x");
    engine.commit(run, [Event::Run(RunEvent::Failed { step: "a".into(), failure })]).unwrap();
}

fn schedule() -> ScheduleRow {
    ScheduleRow {
        name: "nightly".to_owned(),
        cron: "0 0 * * *".to_owned(),
        time_zone: "UTC".to_owned(),
        spec: spec(),
        options: Default::default(),
        created_at: at(0),
        paused_at: None,
        done_until: at(0),
    }
}

#[test]
fn the_seal_follows_every_change_of_an_unlogged_table() {
    let (mut engine, run) = Engine::with_run();
    let intact = |engine: &Engine, after: &str| assert_eq!(check(engine.path()).unwrap(), [], "after {after}");
    for body in ["{\"cpu\":\"x\"}", "{\"cpu\":\"y\"}", "{\"cpu\":\"x\"}"] {
        engine.store.record_environment(body).unwrap();
    }
    intact(&engine, "environments");
    engine.store.add_schedule(&schedule()).unwrap();
    engine.store.add_schedule(&schedule()).unwrap_err();
    intact(&engine, "a new schedule");
    engine.store.pause_schedule("nightly", at(1)).unwrap();
    engine.store.resume_schedule("nightly", at(2)).unwrap();
    engine.store.settle_schedule("nightly", at(3)).unwrap();
    engine.store.settle_schedule("gone", at(3)).unwrap();
    intact(&engine, "changes of a schedule");
    let ids: Vec<i64> = (0..3).map(|n| engine.store.request(run, &signal(n), at(n as i64)).unwrap()).collect();
    let answers = [Answer { id: ids[0], refusal: None }, Answer { id: ids[2], refusal: Some("why".to_owned()) }];
    engine.store.commit(Batch { answers: &answers, ..Batch::default() }).unwrap();
    intact(&engine, "requests");
    engine.store.remove_schedule("nightly").unwrap();
    let answers = [Answer { id: ids[1], refusal: None }];
    engine.store.commit(Batch { answers: &answers, ..Batch::default() }).unwrap();
    end(&mut engine, run);
    engine.commit(run, [Event::Run(RunEvent::Pruned)]).unwrap();
    intact(&engine, "a prune");
}

#[test]
fn damage_under_the_seal_stays_visible_after_other_changes() {
    let (mut engine, run) = Engine::with_run();
    let id = engine.store.request(run, &signal(1), at(1)).unwrap();
    engine.store.reader().connection.execute("UPDATE request SET at = 'x' WHERE id = ?1", [id]).unwrap();
    engine.store.request(run, &signal(2), at(2)).unwrap();
    let answers = [Answer { id, refusal: None }];
    engine.store.commit(Batch { answers: &answers, ..Batch::default() }).unwrap();
    let dir = engine.stop();
    drop(crate::Store::open(dir.path()).unwrap());
    let problems = check(dir.path()).unwrap();
    assert!(problems.iter().any(|problem| problem.what.contains("requests, schedules")), "{problems:?}");
}

#[test]
fn answered_requests_are_forgotten_after_a_day() {
    let (mut engine, run) = Engine::with_run();
    let old = SignedDuration::from_hours(25);
    let ids: Vec<i64> = (0..20).map(|n| engine.store.request(run, &signal(n), at(1)).unwrap()).collect();
    let answer = |engine: &mut Engine, ids: &[i64], at| {
        let answers: Vec<Answer> = ids.iter().map(|&id| Answer { id, refusal: None }).collect();
        let events = [Recorded { run, at, event: Event::Run(RunEvent::Interrupted { reason: "x".to_owned() }) }];
        engine.store.commit(Batch { events: &events, answers: &answers, ..Batch::default() }).unwrap();
    };
    answer(&mut engine, &ids[1..19], at(2));
    let kept = |engine: &Engine| ids.iter().filter(|&&id| engine.store.reader().answer(id).unwrap().is_some()).count();
    assert_eq!(kept(&engine), 18);
    let new = engine.store.request(run, &signal(99), at(3) + old).unwrap();
    answer(&mut engine, &[new], at(3) + old);
    assert_eq!(kept(&engine), 11, "seven at a time, beside the one that waits");
    for _ in 0..3 {
        let new = engine.store.request(run, &signal(99), at(3) + old).unwrap();
        answer(&mut engine, &[new], at(3) + old);
    }
    assert_eq!(kept(&engine), 0);
    assert_eq!(engine.store.reader().pending_requests().unwrap().len(), 2, "nobody has answered those");
    assert_eq!(check(engine.path()).unwrap(), []);
}

#[test]
fn no_commit_looks_at_every_row_of_a_table() {
    let (mut engine, run) = Engine::with_run();
    let seen = statements(|| {
        engine.store.record_environment("{}").unwrap();
        engine.commit(run, [started("a", 1), checkpointed("a", 1, 1), rewound("a", 1, 0), failed("a", 1)]).unwrap();
        engine.commit(run, [ready("a"), started("a", 2), succeeded("a", 2), ready("b"), ready("c")]).unwrap();
        engine.store.submit(new_run("two")).unwrap();
        let id = engine.store.request(run, &signal(1), at(1)).unwrap();
        let got = Event::Run(RunEvent::SignalReceived { name: "go".to_owned(), payload: json!(1) });
        let events = recorded(run, [got]);
        let answers = [Answer { id, refusal: None }];
        engine.store.commit(Batch { events: &events, answers: &answers, ..Batch::default() }).unwrap();
        engine.metrics(run, 2, &[1, 2]).unwrap();
        engine.store.settle_schedule("nightly", at(3)).unwrap();
    });
    assert_bounded(engine.path(), &seen);
}

#[test]
fn pruned_runs_cost_one_look_at_the_artifacts_that_stay() {
    let (mut engine, one) = Engine::with_run();
    let two = engine.submit("two");
    engine.commit(two, [Event::Run(RunEvent::Started)]).unwrap();
    end(&mut engine, one);
    end(&mut engine, two);
    let events: Vec<Recorded> =
        [one, two].map(|run| Recorded { run, at: at(9), event: Event::Run(RunEvent::Pruned) }).into();
    let mut seen = statements(|| drop(engine.store.commit(Batch { events: &events, ..Batch::default() }).unwrap()));
    let all = seen.len();
    seen.retain(|sql| !sql.starts_with("DELETE FROM artifact"));
    assert_eq!(all - seen.len(), 1);
    assert_bounded(engine.path(), &seen);
}

#[test]
fn questions_of_the_engine_are_answered_by_an_index() {
    let (mut engine, run) = Engine::with_run();
    engine.commit(run, [started("a", 1), checkpointed("a", 1, 1), succeeded("a", 1)]).unwrap();
    let pending = engine.submit("pending");
    let ended = engine.submit("ended");
    engine.commit(ended, [Event::Run(RunEvent::Started)]).unwrap();
    end(&mut engine, ended);
    let seen = statements(|| {
        let store = &mut engine.store;
        let open: Vec<RunId> = store.reader().open_runs().unwrap().readable.iter().map(|row| row.id).collect();
        assert_eq!(open, [pending, run]);
        assert_eq!(store.reader().pending_runs().unwrap(), [pending]);
        assert_eq!(store.reader().active_run_named("one", ended).unwrap(), Some(run));
        assert_eq!(store.reader().active_run_named("one", run).unwrap(), None);
        assert_eq!(store.reader().pending_requests().unwrap(), []);
        assert_eq!(store.reader().newest_event_of(run).unwrap().unwrap().event, succeeded("a", 1));
        assert!(!store.reader().has_lease(run).unwrap());
        let step = StepId::from("a");
        assert_eq!(store.reader().first_attempt_with_key(run, &step).unwrap(), Some(1));
        assert!(store.reader().is_referenced(&artifact("out").digest).unwrap());
        assert!(store.reader().is_referenced(&artifact("checkpoint 1").digest).unwrap());
        assert!(!store.reader().is_referenced(&artifact("other").digest).unwrap());
        assert_eq!(store.reader().producers(&artifact("out").digest).unwrap(), [(run, step)]);
        assert_eq!(store.reader().ended_runs(1).unwrap().readable[0].id, ended);
        assert_eq!(store.reader().running_steps(run).unwrap(), []);
        assert_eq!(store.reader().newest_metric(run, &"a".into()).unwrap(), None);
        assert_eq!(store.reader().attempted_steps(run, None).unwrap().len(), 1);
        assert_eq!(store.reader().find_reusable(&StepKey("key-a".to_owned())).unwrap(), Some((run, outputs())));
        store.reader().unfinished(run).unwrap();
        store.reader().notices(run).unwrap();
        assert!(store.reader().alerts(&[run, ended]).unwrap().is_empty());
        store.reader().free_signals(run).unwrap();
    });
    assert_bounded(engine.path(), &seen);
}

#[test]
fn ended_runs_are_read_page_by_page_without_pruned_ones() {
    let mut engine = Engine::start();
    let mut ids = Vec::new();
    for name in ["one", "two", "three", "four"] {
        let run = engine.submit(name);
        engine.commit(run, [Event::Run(RunEvent::Started)]).unwrap();
        end(&mut engine, run);
        ids.push(run);
    }
    engine.commit(ids[2], [Event::Run(RunEvent::Pruned)]).unwrap();
    let open = engine.submit("open");
    let seen: Vec<RunId> = engine.store.reader().ended_runs(2).unwrap().readable.iter().map(|row| row.id).collect();
    assert_eq!(seen, [ids[3], ids[1]]);
    assert_eq!(engine.store.reader().ended_runs(9).unwrap().readable.len(), 3);
    assert_eq!(engine.store.reader().open_runs().unwrap().readable[0].id, open);
}

#[test]
fn a_step_says_since_when_it_is_ready_and_has_its_key() {
    let (mut engine, run) = Engine::with_run();
    let step = StepId::from("a");
    let since = |engine: &Engine| engine.store.reader().step(run, &step).unwrap().ready_since;
    let first = |engine: &Engine| engine.store.reader().first_attempt_with_key(run, &step).unwrap();
    assert_eq!((since(&engine), first(&engine)), (Some(at(0)), None));
    let later = |event, second| Recorded { run, at: at(second), event };
    let other = |attempt| match started("a", attempt) {
        Event::Step(StepEvent {
            step,
            fence: Some(fence),
            kind: StepEventKind::AttemptStarted { attempt, with, lease_expires_at, resources, .. },
        }) => {
            let key = StepKey("other".to_owned());
            StepEventKind::AttemptStarted { attempt, key, with, lease_expires_at, resources }.under(step, fence)
        }
        event => event,
    };
    for (attempt, event, expected) in
        [(1, started("a", 1), 1), (2, started("a", 2), 1), (3, other(3), 3), (4, other(4), 3)]
    {
        let second = attempt as i64 * 10;
        let events = [later(event, second), later(failed("a", attempt), second + 1), later(ready("a"), second + 2)];
        engine.store.commit(Batch { events: &events, ..Batch::default() }).unwrap();
        assert_eq!((since(&engine), first(&engine)), (Some(at(0)), Some(expected)), "a retry does not start over");
    }
    let failure = stepwell_base::failure::Failure::fatal("x");
    let failed = StepEventKind::Failed { failure }.of(step.clone());
    let events = [later(failed, 60), later(ready("a"), 70)];
    engine.store.commit(Batch { events: &events, ..Batch::default() }).unwrap();
    assert_eq!(since(&engine), Some(at(70)));
    assert_eq!(check(engine.path()).unwrap(), []);
}
