//! Rows that programs report: merged, voided, and protected like metrics.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::fixture::{Engine, checkpointed, ready, started};
use crate::{Batch, SeriesWrite, StoreError};
use stepwell_base::ids::RunId;
use stepwell_base::protocol::{Measurement, SeriesChange};

fn add(train_step: u64, values: &[(&str, f64)]) -> SeriesChange {
    let values = values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    SeriesChange::Add(Measurement { train_step, values })
}

fn commit(engine: &mut Engine, run: RunId, attempt: u32, changes: &[SeriesChange]) {
    let write = |change: &SeriesChange| SeriesWrite { run, step: "a".into(), attempt, change: change.clone() };
    let series: Vec<SeriesWrite> = changes.iter().map(write).collect();
    engine.store.commit(Batch { series: &series, ..Batch::default() }).unwrap();
}

fn rows(engine: &Engine, run: RunId) -> Vec<(u64, BTreeMap<String, f64>)> {
    let mut rows = Vec::new();
    let keep = |row: Measurement| {
        rows.push((row.train_step, row.values));
        ControlFlow::Continue(())
    };
    engine.store.reader().each_measurement((run, &"a".into()), None, None, keep).unwrap();
    rows
}

fn steps(engine: &Engine, run: RunId) -> Vec<u64> {
    rows(engine, run).into_iter().map(|(step, _)| step).collect()
}

/// A run whose step `a` is at its second attempt.
fn second_attempt() -> (Engine, RunId) {
    let (mut engine, run) = Engine::with_run();
    engine.commit(run, [ready("a"), started("a", 1)]).unwrap();
    commit(&mut engine, run, 1, &[add(1, &[("loss", 3.0)]), add(2, &[("loss", 2.0)]), add(3, &[("loss", 1.0)])]);
    engine.commit(run, [super::fixture::released("a", 1), started("a", 2)]).unwrap();
    (engine, run)
}

#[test]
fn lines_of_one_step_become_one_row() {
    let (mut engine, run) = Engine::with_run();
    engine.commit(run, [ready("a"), started("a", 1)]).unwrap();
    let late = add(1, &[("val", 4.0), ("loss", 2.5)]);
    commit(&mut engine, run, 1, &[add(1, &[("loss", f64::NAN), ("x", 0.1)]), add(2, &[("y", f64::INFINITY)]), late]);
    let found = rows(&engine, run);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].1, BTreeMap::from([("loss".into(), 2.5), ("val".into(), 4.0), ("x".into(), 0.1)]));
    assert!(found[1].1["y"].is_nan() && found[1].1.len() == 1, "{found:?}");
    assert_eq!(engine.store.reader().measured_up_to(run, &"a".into()).unwrap(), Some(2));
    assert_eq!(crate::check(engine.path()).unwrap(), []);
    // A loss that is no number is there all the same.
    commit(&mut engine, run, 1, &[add(3, &[("loss", f64::NAN)])]);
    assert!(rows(&engine, run)[2].1["loss"].is_nan());
}

#[test]
fn a_new_attempt_voids_what_it_reports_again() {
    let (mut engine, run) = second_attempt();
    // Whatever a worker of the first attempt still says is dropped.
    commit(&mut engine, run, 1, &[SeriesChange::Void { from: 0 }, add(4, &[("loss", 9.0)])]);
    assert_eq!(steps(&engine, run), [1, 2, 3]);
    commit(&mut engine, run, 2, &[SeriesChange::Void { from: 2 }, add(2, &[("other", 7.0)])]);
    assert_eq!(steps(&engine, run), [1, 2]);
    assert_eq!(rows(&engine, run)[1].1, BTreeMap::from([("other".into(), 7.0)]));
    assert_eq!(crate::check(engine.path()).unwrap(), []);
}

/// A row that the next attempt reports a second time changes nothing.
#[test]
fn to_report_lines_again_changes_nothing() {
    let changes = [
        SeriesChange::Void { from: 2 },
        add(2, &[("loss", 5.0)]),
        add(4, &[("loss", 4.0)]),
        add(2, &[("val", 1.0)]),
        add(5, &[("loss", 3.0)]),
    ];
    let (mut engine, run) = second_attempt();
    commit(&mut engine, run, 2, &changes);
    let whole = rows(&engine, run);
    for start in 0..changes.len() {
        let (mut engine, run) = second_attempt();
        commit(&mut engine, run, 2, &changes);
        commit(&mut engine, run, 2, &changes[start..]);
        assert_eq!(rows(&engine, run), whole, "from {start}");
    }
}

#[test]
fn named_numbers_are_protected_by_the_digest() {
    let (mut engine, run) = Engine::with_run();
    engine.commit(run, [ready("a"), started("a", 1)]).unwrap();
    commit(&mut engine, run, 1, &[add(1, &[("loss", 1.0), ("val", 2.0)]), add(2, &[("loss", 1.0)])]);
    let database = rusqlite::Connection::open(engine.path().join("stepwell.db")).unwrap();
    assert_eq!(database.execute("UPDATE metric SET more = '{\"val\":3.0}' WHERE train_step = 1", []).unwrap(), 1);
    let read = engine.store.reader().each_measurement((run, &"a".into()), None, None, |_| ControlFlow::Continue(()));
    assert!(matches!(read, Err(StoreError::DamagedMetric { train_step: 1, .. })), "{read:?}");
    // A later line neither hides the damage nor stops the engine.
    commit(&mut engine, run, 1, &[add(1, &[("val", 2.0)]), add(3, &[("loss", 0.5)])]);
    let problems = crate::check(engine.path()).unwrap();
    assert!(problems.iter().any(|problem| problem.what.contains("training step 1")), "{problems:?}");
}

#[test]
fn the_z_loss_of_a_training_is_kept() {
    let (mut engine, run) = Engine::with_run();
    engine.commit(run, [ready("a"), started("a", 1)]).unwrap();
    let mut metrics = super::fixture::metrics(run, "a", 1, &[1, 2]);
    metrics[1].row.z_loss = Some(0.125);
    engine.store.commit(Batch { metrics: &metrics, ..Batch::default() }).unwrap();
    let read = engine.store.reader().metrics(run, &"a".into(), 0).unwrap();
    assert_eq!(read.iter().map(|row| row.z_loss).collect::<Vec<_>>(), [None, Some(0.125)]);
    let found = rows(&engine, run);
    assert_eq!((found[0].1.len(), found[1].1.len(), found[1].1["z_loss"]), (5, 6, 0.125));
}

#[test]
fn readings_of_health_are_the_newest_rows_in_order() {
    let (mut engine, run) = Engine::with_run();
    assert_eq!(engine.store.reader().health_readings(run).unwrap(), []);
    engine.commit(run, [ready("a"), started("a", 1)]).unwrap();
    engine.commit(run, [checkpointed("a", 1, 100)]).unwrap();
    let loss = |step: u64| if step == 199 { f64::NAN } else { step as f64 };
    let changes: Vec<SeriesChange> = (1..=200)
        .map(|step| match step % 50 {
            0 => add(step, &[("loss", loss(step)), ("val_loss", 1.0), ("grad_norm/layer.0", 1.0)]),
            _ => add(step, &[("loss", loss(step))]),
        })
        .collect();
    commit(&mut engine, run, 1, &changes);
    let [found] = &engine.store.reader().health_readings(run).unwrap()[..] else { panic!("one step runs") };
    assert_eq!((found.losses.len(), found.losses[0], found.losses[119]), (120, (81, 81.0), (200, 200.0)));
    assert!(found.losses[118].1.is_nan());
    assert_eq!(found.validations, [(50, 1.0), (100, 1.0), (150, 1.0), (200, 1.0)]);
    assert_eq!((found.checkpoints.len(), found.checkpoint_bytes), (1, "checkpoint 100".len() as u64));
}
