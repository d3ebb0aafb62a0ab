//! Steps, attempts, checkpoints and metrics as the tables show them.

use serde_json::json;

use crate::{Batch, StoreError, check};
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::failure::Failure;
use stepwell_base::ids::{Fence, StepId};
use stepwell_run::event::{Event, RunEvent, StepEventKind};
use stepwell_run::status::{RunStatus, StepStatus};

use super::fixture::*;

#[test]
fn failed_attempts_count_as_retries_and_released_ones_do_not() {
    let (mut engine, run) = Engine::with_run();
    let step = StepId::from("a");
    engine.commit(run, [started("a", 1), failed("a", 1), ready("a")]).unwrap();
    let row = engine.store.reader().step(run, &step).unwrap();
    assert_eq!((row.status, row.attempts, row.retries_used), (StepStatus::Ready, 1, 1));
    assert_eq!((row.not_before, row.lease_expires_at), (Some(at(2)), None));
    assert_eq!(row.failure, Some(Failure::retryable("broken")));
    engine.commit(run, [started("a", 2), released("a", 2)]).unwrap();
    let row = engine.store.reader().step(run, &step).unwrap();
    assert_eq!((row.status, row.attempts, row.retries_used), (StepStatus::Ready, 2, 1));
    assert_eq!(engine.store.reader().run(run).unwrap().status, RunStatus::Running);

    let failure = Failure::fatal("over");
    let ended = [
        started("a", 3),
        StepEventKind::Failed { failure: failure.clone() }.of(step.clone()),
        Event::Run(RunEvent::Failed { step: step.clone(), failure: failure.clone() }),
    ];
    engine.commit(run, ended).unwrap();
    let row = engine.store.reader().step(run, &step).unwrap();
    assert_eq!((row.status, row.failure, row.finished_at), (StepStatus::Failed, Some(failure.clone()), Some(at(1))));
    assert_eq!(engine.store.reader().run(run).unwrap().failure, Some(failure));
    assert_eq!(attempts(&engine), ["1 failed broken", "2 released engine stopped", "3 failed over"]);

    engine.commit(run, [Event::Run(RunEvent::Resumed), ready("a")]).unwrap();
    let row = engine.store.reader().step(run, &step).unwrap();
    assert_eq!((row.status, row.attempts, row.retries_used), (StepStatus::Ready, 3, 0), "retries start over");
    engine.commit(run, [started("a", 4), succeeded("a", 4)]).unwrap();
    let row = engine.store.reader().step(run, &step).unwrap();
    assert_eq!((row.status, row.failure, row.outputs), (StepStatus::Succeeded, None, Some(outputs())));
    assert_eq!(check(engine.path()).unwrap(), []);
}

fn attempts(engine: &Engine) -> Vec<String> {
    let database = rusqlite::Connection::open(engine.path().join("stepwell.db")).unwrap();
    let mut statement = database.prepare("SELECT attempt || ' ' || status || ' ' || reason FROM attempt").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_fan_out_has_one_child_per_item_right_after_its_parent() {
    let (mut engine, run) = Engine::with_run();
    engine.commit(run, [started("a", 1), succeeded("a", 1), ready("b"), ready("c")]).unwrap();
    let items = vec![json!("x"), json!({"n": 2})];
    let expanded = |items: &[serde_json::Value]| StepEventKind::Expanded { items: items.to_vec() }.of("c".into());
    engine.commit(run, [expanded(&items), ready("c[0]"), ready("c[1]")]).unwrap();
    let steps = engine.store.reader().steps(run).unwrap();
    let ids: Vec<_> = steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "c", "c[0]", "c[1]"]);
    let child = &steps[4];
    assert_eq!((child.parent.as_ref(), child.item_index), (Some(&StepId::from("c")), Some(1)));
    assert_eq!((child.item.as_ref(), &child.needs), (Some(&items[1]), &vec![StepId::from("a")]));
    assert_eq!((steps[2].status, child.status), (StepStatus::Expanded, StepStatus::Ready));

    let failure = Failure::fatal("x");
    let ended = [
        started("c[0]", 1),
        succeeded("c[0]", 1),
        StepEventKind::Failed { failure: failure.clone() }.of("c[1]".into()),
        StepEventKind::Failed { failure: failure.clone() }.of("c".into()),
        Event::Run(RunEvent::Failed { step: "c[1]".into(), failure }),
    ];
    engine.commit(run, ended).unwrap();
    let resumed =
        [Event::Run(RunEvent::Resumed), expanded(&items), ready("c[1]"), started("c[1]", 1), succeeded("c[1]", 1)];
    engine.commit(run, resumed).unwrap();
    engine.commit(run, [succeeded("c", 0)]).unwrap();
    let steps = engine.store.reader().steps(run).unwrap();
    assert!(steps[2..].iter().all(|step| step.status == StepStatus::Succeeded), "finished children are kept");
    assert_eq!(steps[3].attempts, 1);
    assert_eq!(check(engine.path()).unwrap(), []);
}

#[test]
fn a_fan_out_cannot_be_expanded_to_other_items() {
    let (mut engine, run) = Engine::with_run();
    let expanded = |item| StepEventKind::Expanded { items: vec![json!(item)] }.of("c".into());
    let failure = Failure::fatal("x");
    engine.commit(run, [expanded(1), StepEventKind::Failed { failure }.of("c".into())]).unwrap();
    assert!(matches!(engine.commit(run, [expanded(2)]), Err(StoreError::IllegalEvent { .. })));
    engine.commit(run, [expanded(1)]).unwrap();
}

#[test]
fn a_checkpoint_is_shown_in_its_step() {
    let (mut engine, run) = Engine::with_run();
    let step = StepId::from("a");
    engine.commit(run, [started("a", 1), checkpointed("a", 1, 5), checkpointed("a", 1, 10)]).unwrap();
    let rows = engine.store.reader().checkpoints(run, &step).unwrap();
    assert_eq!(rows.iter().map(|row| &row.checkpoint).collect::<Vec<_>>(), [&checkpoint(10), &checkpoint(5)]);
    assert_eq!((rows[0].attempt, rows[0].at), (1, at(1)));
    let row = engine.store.reader().step(run, &step).unwrap();
    assert_eq!((row.last_step, row.last_doc_index, row.tokens_so_far), (Some(10), Some(100), Some(1000)));
    assert_eq!(row.loss, Some(0.1));
}

#[test]
fn rewinding_leaves_no_gap_and_no_duplicate() {
    let (mut engine, run) = Engine::with_run();
    let step = StepId::from("a");
    engine.commit(run, [started("a", 1), checkpointed("a", 1, 5), checkpointed("a", 1, 10)]).unwrap();
    engine.metrics(run, 1, &[4, 5, 6, 7, 8, 9, 10, 11]).unwrap();
    assert!(matches!(engine.metrics(run, 1, &[8]), Err(StoreError::DuplicateMetric { train_step: 8, .. })));

    // The late metric 12 of attempt 1 comes in one batch with the next attempt and its rewind.
    let events = recorded(run, [released("a", 1), started("a", 2), rewound("a", 2, 7)]);
    let mut rows = metrics(run, "a", 1, &[12]);
    rows.extend(metrics(run, "a", 2, &[8, 9]));
    let batch = Batch { events: &events, metrics: &rows, ..Batch::default() };
    engine.store.commit(batch).unwrap();

    let seen: Vec<u64> =
        engine.store.reader().metrics(run, &step, 4).unwrap().iter().map(|row| row.train_step).collect();
    assert_eq!(seen, [5, 6, 7, 8, 9]);
    let left = engine.store.reader().checkpoints(run, &step).unwrap();
    assert_eq!(left.iter().map(|row| row.checkpoint.last_step).collect::<Vec<_>>(), [Some(5)]);
    assert_eq!(engine.store.reader().step(run, &step).unwrap().last_step, Some(5));
    assert_eq!(check(engine.path()).unwrap(), []);

    engine.commit(run, [rewound("a", 2, 0)]).unwrap();
    assert_eq!(engine.store.reader().metrics(run, &step, 0).unwrap(), []);
    let row = engine.store.reader().step(run, &step).unwrap();
    assert_eq!((row.last_step, row.loss), (None, None));
}

#[test]
fn replaced_checkpoints_are_dropped_and_permanent_ones_stay() {
    let (mut engine, run) = Engine::with_run();
    engine.commit(run, [started("a", 1)]).unwrap();
    let kept = |last_step: u64| {
        StepEventKind::CheckpointCommitted {
            checkpoint: Checkpoint { permanent: last_step == 3, keep: Some(2), ..checkpoint(last_step) },
        }
        .under(StepId::from("a"), Fence(1))
    };
    let mut dropped = Vec::new();
    for last_step in 1..=6 {
        dropped.extend(engine.commit(run, [kept(last_step)]).unwrap().dropped);
    }
    let left = engine.store.reader().checkpoints(run, &StepId::from("a")).unwrap();
    assert_eq!(left.iter().map(|row| row.checkpoint.last_step).collect::<Vec<_>>(), [Some(6), Some(5), Some(3)]);
    assert_eq!(dropped, [1, 2, 4].map(|last_step| artifact(&format!("checkpoint {last_step}"))));
    assert_eq!(check(engine.path()).unwrap(), []);
}

#[test]
fn a_loss_that_is_not_a_number_is_kept_as_such() {
    let (mut engine, run) = Engine::with_run();
    engine.commit(run, [started("a", 1)]).unwrap();
    let mut rows = metrics(run, "a", 1, &[1, 2]);
    rows[0].row.loss = f64::NAN;
    rows[1].row.loss = f64::INFINITY;
    engine.store.commit(Batch { metrics: &rows, ..Batch::default() }).unwrap();
    let read = engine.store.reader().metrics(run, &"a".into(), 0).unwrap();
    assert!(read[0].loss.is_nan() && read[1].loss == f64::INFINITY);
    assert_eq!(read[0].grad_norm, 1.0);
}

#[test]
fn skipped_and_canceled_steps_say_so() {
    let (mut engine, run) = Engine::with_run();
    let skipped = StepEventKind::Skipped { reason: "`when` is false".to_owned() }.of("b".into());
    engine.commit(run, [skipped, started("a", 1)]).unwrap();
    let canceled = |id: &str| StepEventKind::Canceled.of(id.into());
    engine
        .commit(
            run,
            [Event::Run(RunEvent::CancelRequested), canceled("a"), canceled("c"), Event::Run(RunEvent::Canceled)],
        )
        .unwrap();
    let steps = engine.store.reader().steps(run).unwrap();
    assert_eq!(steps[1].skip_reason.as_deref(), Some("`when` is false"));
    let seen: Vec<_> = steps.iter().map(|step| step.status).collect();
    assert_eq!(seen, [StepStatus::Canceled, StepStatus::Skipped, StepStatus::Canceled]);
    let row = engine.store.reader().run(run).unwrap();
    assert_eq!((row.status, row.finished_at, row.started_at), (RunStatus::Canceled, Some(at(1)), Some(at(1))));
    assert_eq!(check(engine.path()).unwrap(), []);
}

#[test]
fn people_can_read_the_state_with_sql() {
    let (mut engine, run) = Engine::with_run();
    engine.commit(run, [started("a", 1), checkpointed("a", 1, 4), succeeded("a", 1)]).unwrap();
    let database = rusqlite::Connection::open(engine.path().join("stepwell.db")).unwrap();
    let line = |sql: &str| database.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(line("SELECT name || ' ' || status || ' ' || steps_done || '/' || steps FROM runs"), "one running 1/3");
    assert_eq!(
        line("SELECT step || ' ' || last_step || ' ' || loss FROM steps WHERE status = 'succeeded'"),
        "a 4 0.25"
    );
    assert_eq!(line("SELECT tokens_so_far || ' ' || digest FROM checkpoints").len(), 4 + 64);
    assert_eq!(line("SELECT output FROM outputs"), "out");
    assert_eq!(
        line("SELECT kind || ' ' || at FROM log WHERE step = 'a' LIMIT 1"),
        "step_ready 2023-11-14T22:13:20.123Z"
    );
}
