//! Texts of trainings, and numbers that are measured after their step: exactly once, rewound, protected.

use std::collections::BTreeMap;

use super::fixture::{Engine, checkpoint, metrics, ready, released, rewound, started};
use crate::{Batch, SampleRow, SeriesWrite, StoreError, UsageWrite};
use stepwell_base::checkpoint::Checkpoint;
use stepwell_base::ids::{Fence, RunId, StepId};
use stepwell_base::protocol::{Measurement, SampleText, Samples, SeriesChange, Usage};
use stepwell_run::event::{Event, StepEventKind};

fn texts(train_step: u64, texts: &[&str]) -> SeriesChange {
    let texts = texts.iter().map(|text| SampleText { prompt: "Once".to_owned(), text: (*text).to_owned() }).collect();
    SeriesChange::Samples(Samples { train_step, texts })
}

fn validated(train_step: u64, val_loss: f64) -> SeriesChange {
    SeriesChange::Add(Measurement { train_step, values: BTreeMap::from([("val_loss".to_owned(), val_loss)]) })
}

fn commit(engine: &mut Engine, run: RunId, attempt: u32, changes: &[SeriesChange]) {
    let write = |change: &SeriesChange| SeriesWrite { run, step: "a".into(), attempt, change: change.clone() };
    let series: Vec<SeriesWrite> = changes.iter().map(write).collect();
    engine.store.commit(Batch { series: &series, ..Batch::default() }).unwrap();
}

fn read(engine: &Engine, run: RunId) -> Vec<(u64, u32, String)> {
    let rows = engine.store.reader().samples(run, &"a".into()).unwrap();
    rows.into_iter().map(|row| (row.train_step, row.number, row.text)).collect()
}

#[test]
fn texts_are_there_once_and_go_with_a_rewind() {
    let (mut engine, run) = Engine::with_run();
    engine.commit(run, [ready("a"), started("a", 1)]).unwrap();
    commit(&mut engine, run, 1, &[texts(10, &["x", "y"]), texts(20, &["z"])]);
    commit(&mut engine, run, 1, &[texts(20, &["z"])]);
    let row = |step, number, text: &str| (step, number, text.to_owned());
    assert_eq!(read(&engine, run), [row(10, 0, "x"), row(10, 1, "y"), row(20, 0, "z")]);
    engine.commit(run, [released("a", 1), started("a", 2), rewound("a", 2, 10)]).unwrap();
    // A worker of the first attempt has nothing more to say.
    commit(&mut engine, run, 1, &[texts(20, &["late"])]);
    assert_eq!(read(&engine, run), [row(10, 0, "x"), row(10, 1, "y")]);
    commit(&mut engine, run, 2, &[texts(20, &["w"])]);
    let (reader, step) = (engine.store.reader(), StepId::from("a"));
    assert_eq!(reader.sample_steps(run, &step).unwrap(), [10, 20]);
    assert_eq!(reader.steps_with_samples(run).unwrap(), std::slice::from_ref(&step));
    let row = SampleRow { train_step: 20, number: 0, prompt: "Once".to_owned(), text: "w".to_owned() };
    assert_eq!(reader.samples_at(run, &step, 20).unwrap(), [row]);
    assert_eq!(crate::check(engine.path()).unwrap(), []);
}

#[test]
fn a_damaged_text_is_not_given_out() {
    let (mut engine, run) = Engine::with_run();
    engine.commit(run, [ready("a"), started("a", 1)]).unwrap();
    commit(&mut engine, run, 1, &[texts(10, &["x"])]);
    let database = rusqlite::Connection::open(engine.path().join("stepwell.db")).unwrap();
    assert_eq!(database.execute("UPDATE sample SET text = 'y'", []).unwrap(), 1);
    let error = engine.store.reader().samples(run, &"a".into()).unwrap_err();
    assert!(matches!(error, StoreError::DamagedSample { train_step: 10, .. }), "{error}");
    let problems = crate::check(engine.path()).unwrap();
    assert!(problems.iter().any(|problem| problem.what.contains("texts of training step 10")), "{problems:?}");
}

/// The row keeps its columns: readers of the plain row see them, too.
#[test]
fn a_validation_joins_the_row_of_its_training_step() {
    let (mut engine, run) = Engine::with_run();
    engine.commit(run, [ready("a"), started("a", 1)]).unwrap();
    let mut rows = metrics(run, "a", 1, &[1, 2]);
    rows[1].row.data_wait_seconds = Some(0.25);
    rows[1].row.memory_bytes = Some(1 << 40);
    rows[1].row.mfu = Some(0.5);
    rows[1].row.z_loss = Some(0.125);
    engine.store.commit(Batch { metrics: &rows, ..Batch::default() }).unwrap();
    for _ in 0..2 {
        commit(&mut engine, run, 1, &[validated(2, 3.5)]);
    }
    let (reader, step) = (engine.store.reader(), StepId::from("a"));
    let plain: Vec<_> = rows.iter().map(|write| write.row.clone()).collect();
    assert_eq!(reader.metrics(run, &step, 0).unwrap(), plain);
    let newest = reader.newest_measurement(run, &step).unwrap().unwrap();
    let named = [("val_loss", 3.5), ("z_loss", 0.125), ("data_wait_seconds", 0.25), ("mfu", 0.5)];
    assert!(named.iter().all(|(name, value)| newest.values[*name] == *value), "{newest:?}");
    assert_eq!((newest.values["memory_bytes"], newest.values.len()), ((1u64 << 40) as f64, 10));
    assert_eq!(crate::check(engine.path()).unwrap(), []);
    let database = rusqlite::Connection::open(engine.path().join("stepwell.db")).unwrap();
    for column in ["data_wait_seconds", "memory_bytes", "mfu"] {
        let change = |by| format!("UPDATE metric SET {column} = {column} + {by} WHERE train_step = 2");
        assert_eq!(database.execute(&change(1), []).unwrap(), 1);
        assert!(engine.store.reader().metrics(run, &step, 0).is_err(), "{column}");
        database.execute(&change(-1), []).unwrap();
    }
}

#[test]
fn the_best_checkpoint_stays_beside_the_newest() {
    let (mut engine, run) = Engine::with_run();
    engine.commit(run, [ready("a"), started("a", 1)]).unwrap();
    let kept = |engine: &Engine| -> Vec<(u64, bool)> {
        let rows = engine.store.reader().checkpoints(run, &"a".into()).unwrap();
        rows.iter().rev().map(|row| (row.checkpoint.last_step.unwrap(), row.checkpoint.best)).collect()
    };
    let saved = |last_step: u64, best: bool| -> Event {
        let val_loss = Some(10.0 - last_step as f64);
        let checkpoint = Checkpoint { permanent: false, keep: Some(2), val_loss, best, ..checkpoint(last_step) };
        StepEventKind::CheckpointCommitted { checkpoint }.under(StepId::from("a"), Fence(1))
    };
    for (last_step, best) in [(1, true), (2, true), (3, false), (4, false), (5, false)] {
        engine.commit(run, [saved(last_step, best)]).unwrap();
    }
    assert_eq!(kept(&engine), [(2, true), (4, false), (5, false)]);
    assert_eq!(crate::check(engine.path()).unwrap(), []);
    engine.commit(run, [saved(6, true)]).unwrap();
    assert_eq!(kept(&engine), [(5, false), (6, true)]);
    engine.commit(run, [saved(7, false), saved(8, false)]).unwrap();
    assert_eq!(kept(&engine), [(6, true), (7, false), (8, false)]);
    assert_eq!(crate::check(engine.path()).unwrap(), []);
}

/// A long attempt keeps fewer of its early rows; the rows of another attempt are its own.
#[test]
fn what_an_attempt_uses_stays_bounded() {
    let (mut engine, run) = Engine::with_run();
    engine.commit(run, [ready("a"), started("a", 1)]).unwrap();
    let step = StepId::from("a");
    let report = |engine: &mut Engine, attempt: u32, number: u64| {
        let usage = Usage { number, cpu_seconds: 1.5, memory_bytes: number, ..Usage::default() };
        if usage.is_kept() {
            let write = UsageWrite { run, step: step.clone(), attempt, at: super::fixture::at(number as i64), usage };
            engine.store.commit(Batch { usages: &[write], ..Batch::default() }).unwrap();
        }
    };
    report(&mut engine, 2, 1);
    (1..2000).for_each(|number| report(&mut engine, 1, number));
    report(&mut engine, 1, 1996);
    let rows = engine.store.reader().usage(run, &"a".into()).unwrap();
    let numbers: Vec<u64> = rows.iter().filter(|row| row.attempt == 1).map(|row| row.usage.number).collect();
    assert_eq!(numbers, (1..500).map(|number| number * 4).collect::<Vec<u64>>());
    assert_eq!(rows.len(), 500);
    let newest = engine.store.reader().newest_usage(run, &"a".into()).unwrap();
    assert_eq!(newest.iter().map(|row| (row.attempt, row.usage.number)).collect::<Vec<_>>(), [(2, 1)]);
    assert_eq!(crate::check(engine.path()).unwrap(), []);
}
