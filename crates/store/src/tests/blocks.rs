//! Blocks of series say what the rows say, whatever comes, changes and goes.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use super::fixture::*;
use crate::series::{LEVELS, ROWS};
use crate::{Batch, Extremes, Point, Reader, SeriesRange, SeriesWrite, Store, check};
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::protocol::{Measurement, SeriesChange};

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

fn step() -> StepId {
    "a".into()
}

/// Numbers of a row: `loss` always, the others now and then; some are no numbers.
fn values(train_step: u64, salt: u64) -> BTreeMap<String, f64> {
    let number = ((train_step * 7919 + salt * 31) % 1000) as f64 / 8.0 - 60.0;
    let mut values = BTreeMap::from([("loss".to_owned(), if train_step % 97 == 5 { f64::NAN } else { number })]);
    if train_step.is_multiple_of(50) {
        values.insert("val_loss".to_owned(), number * 2.0);
    }
    if train_step.is_multiple_of(20) {
        values.insert("grad_norm/layer.0".to_owned(), number * number);
    }
    values
}

fn write(engine: &mut Engine, run: RunId, attempt: u32, changes: Vec<SeriesChange>) {
    let series: Vec<SeriesWrite> =
        changes.into_iter().map(|change| SeriesWrite { run, step: step(), attempt, change }).collect();
    engine.store.commit(Batch { series: &series, ..Batch::default() }).unwrap();
}

fn add(train_step: u64, salt: u64) -> SeriesChange {
    SeriesChange::Add(Measurement { train_step, values: values(train_step, salt) })
}

/// The rows as they are: `(training step, name, value)`.
fn rows(reader: &Reader, run: RunId) -> Vec<(u64, Vec<(String, f64)>)> {
    let mut found = Vec::new();
    let keep = |row: Measurement| {
        found.push((row.train_step, row.values.into_iter().collect()));
        std::ops::ControlFlow::Continue(())
    };
    reader.each_measurement((run, &step()), None, None, keep).unwrap();
    found
}

type Shown = BTreeMap<String, String>;

fn shown(of: BTreeMap<String, Vec<Extremes>>) -> Shown {
    of.into_iter().map(|(name, pieces)| (name, format!("{pieces:?}"))).collect()
}

/// The extremes of every `size` rows, made of the rows.
fn directly(rows: &[(u64, Vec<(String, f64)>)], size: usize) -> BTreeMap<String, Vec<Extremes>> {
    let mut found: BTreeMap<String, Vec<Extremes>> = BTreeMap::new();
    for group in rows.chunks(size) {
        let mut of_group: BTreeMap<&str, Extremes> = BTreeMap::new();
        for (train_step, values) in group {
            for (name, value) in values {
                let one = Extremes::of(Point { train_step: *train_step, value: *value });
                of_group.entry(name).and_modify(|all| all.add(&one)).or_insert(one);
            }
        }
        for (name, extremes) in of_group {
            found.entry(name.to_owned()).or_default().push(extremes);
        }
    }
    found
}

fn pieces(reader: &Reader, run: RunId, range: SeriesRange, level: u32) -> BTreeMap<String, Vec<Extremes>> {
    let names: BTreeSet<String> = ["loss", "val_loss", "grad_norm/layer.0"].map(str::to_owned).into();
    let mut found: BTreeMap<String, Vec<Extremes>> = BTreeMap::new();
    let see = |name: &str, extremes| found.entry(name.to_owned()).or_default().push(extremes);
    reader.series_pieces((run, &step()), range, level, &names, see).unwrap();
    found
}

fn joined(pieces: BTreeMap<String, Vec<Extremes>>) -> Shown {
    let join = |pieces: Vec<Extremes>| {
        let mut all = pieces[0];
        pieces[1..].iter().for_each(|piece| all.add(piece));
        vec![all]
    };
    shown(pieces.into_iter().map(|(name, pieces)| (name, join(pieces))).collect())
}

#[track_caller]
fn assert_equal(reader: &Reader, run: RunId, random: &mut Random) {
    let rows = rows(reader, run);
    let whole = SeriesRange::default();
    assert_eq!(shown(pieces(reader, run, whole, 0)), shown(directly(&rows, 1)));
    assert_eq!(shown(pieces(reader, run, whole, 1)), shown(directly(&rows, ROWS)));
    let last = rows.last().map_or(0, |row| row.0);
    for _ in 0..6 {
        let after = Some(random.below(last + 10)).filter(|after| after % 5 > 0);
        let up_to = Some(random.below(last + 10)).filter(|up_to| up_to % 5 > 0);
        let range = SeriesRange { after, up_to };
        let inside: Vec<_> = rows
            .iter()
            .filter(|(at, _)| after.is_none_or(|after| *at > after) && up_to.is_none_or(|up_to| *at <= up_to))
            .cloned()
            .collect();
        let expected = joined(directly(&inside, usize::MAX));
        for level in [0, 1, 2, 3, LEVELS] {
            assert_eq!(joined(pieces(reader, run, range, level)), expected, "{range:?} at level {level}");
        }
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for (name, _) in inside.iter().flat_map(|(_, values)| values) {
            *counts.entry(name.clone()).or_default() += 1;
        }
        assert_eq!(reader.series_names((run, &step()), range).unwrap(), counts, "{range:?}");
    }
}

/// Level, first and last training step, and the bytes of a block.
type Stored = (u32, i64, i64, Vec<u8>, Vec<u8>);

fn stored(dir: &std::path::Path) -> Vec<Stored> {
    let database = Connection::open(dir.join("stepwell.db")).unwrap();
    let sql = "SELECT level, first_step, last_step, plain, layered FROM series_block ORDER BY level, last_step";
    let mut statement = database.prepare(sql).unwrap();
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?));
    statement.query_map([], row).unwrap().map(Result::unwrap).collect()
}

/// Appends, late numbers, rows in between, voids, and rewinds to a checkpoint, in any order.
#[test]
fn blocks_equal_the_rows_whatever_happens_to_them() {
    for seed in 1..=6 {
        let random = &mut Random(seed);
        let (mut engine, run) = Engine::with_run();
        engine.commit(run, [ready("a"), started("a", 1)]).unwrap();
        let (mut attempt, mut last) = (1, 0);
        for round in 0..40 {
            match random.below(10) {
                0 if last > 0 => {
                    let to = random.below(last);
                    engine.commit(run, [released("a", u64::from(attempt))]).unwrap();
                    attempt += 1;
                    engine.commit(run, [started("a", attempt), rewound("a", u64::from(attempt), to)]).unwrap();
                    last = to;
                }
                1 => {
                    let from = random.below(last + 1);
                    write(&mut engine, run, attempt, vec![SeriesChange::Void { from }]);
                    last = from.saturating_sub(1);
                }
                2 => {
                    let late = (0..5).map(|_| add(random.below(last + 1), round)).collect();
                    write(&mut engine, run, attempt, late);
                }
                // A worker of an earlier attempt changes nothing.
                3 if attempt > 1 => write(&mut engine, run, attempt - 1, vec![SeriesChange::Void { from: 0 }]),
                _ => {
                    let (more, stride) = (random.below(300), 1 + random.below(3));
                    let changes = (1..=more).map(|index| add(last + index * stride, round)).collect();
                    write(&mut engine, run, attempt, changes);
                    last += more * stride;
                }
            }
            assert_equal(engine.store.reader(), run, random);
        }
        assert_eq!(check(engine.path()).unwrap(), [], "seed {seed}");
        // The same blocks come of a look at rows that have none.
        while !engine.store.build_blocks(run, &step(), 3).unwrap() {}
        let there = stored(engine.path());
        let dir = engine.stop();
        let database = Connection::open(dir.path().join("stepwell.db")).unwrap();
        database.execute("DELETE FROM series_block", []).unwrap();
        drop(database);
        let mut store = Store::open(dir.path()).unwrap();
        assert_equal(store.reader(), run, random);
        while !store.build_blocks(run, &step(), 3).unwrap() {}
        assert_eq!(stored(dir.path()), there, "seed {seed}");
        assert_equal(store.reader(), run, random);
        assert_eq!(check(dir.path()).unwrap(), []);
    }
}

#[test]
fn an_engine_makes_blocks_of_what_it_commits() {
    let (mut engine, run) = Engine::with_run();
    engine.commit(run, [ready("a"), started("a", 1)]).unwrap();
    let steps: Vec<u64> = (1..=5000).collect();
    for (index, part) in steps.chunks(7).enumerate() {
        engine.metrics(run, 1, part).unwrap();
        let loose = engine.store.reader().loose_rows(run, &step(), 1000).unwrap();
        assert!(loose < 2 * ROWS as u64, "{loose} rows have no block after commit {index}");
    }
    let levels: Vec<usize> =
        (1..=3).map(|level| stored(engine.path()).iter().filter(|block| block.0 == level).count()).collect();
    // The newest rows wait for their block.
    assert_eq!(levels, [77, 4, 0]);
    assert_eq!(engine.store.reader().series_level(&[((run, &step()), SeriesRange::default())], 3).unwrap(), 2);
    assert_eq!(engine.store.reader().series_level(&[((run, &step()), SeriesRange::default())], 50).unwrap(), 1);
    assert_eq!(check(engine.path()).unwrap(), []);
}

#[test]
fn a_damaged_block_is_found() {
    for sql in [
        "UPDATE series_block SET first_step = first_step + 1 WHERE last_step = 128",
        "UPDATE series_block SET last_step = 127 WHERE last_step = 128",
        "UPDATE series_block SET plain = x'00' WHERE last_step = 128",
        "UPDATE series_block SET plain = layered, layered = plain WHERE last_step = 128",
        "DELETE FROM series_block WHERE last_step = 128",
        "DELETE FROM series_block WHERE level = 2",
        "UPDATE series_block SET level = 9 WHERE level = 2",
    ] {
        let (mut engine, run) = Engine::with_run();
        engine.commit(run, [ready("a"), started("a", 1)]).unwrap();
        engine.metrics(run, 1, &(1..=1100).collect::<Vec<u64>>()).unwrap();
        let dir = engine.stop();
        assert_eq!(check(dir.path()).unwrap(), []);
        let database = Connection::open(dir.path().join("stepwell.db")).unwrap();
        assert!(database.execute(sql, []).unwrap() > 0);
        let problems = check(dir.path()).unwrap();
        assert!(problems.iter().any(|problem| problem.what.contains("blocks of its series")), "{sql}: {problems:?}");
    }
}

#[test]
fn a_damaged_row_stops_no_commit() {
    let (mut engine, run) = Engine::with_run();
    engine.commit(run, [ready("a"), started("a", 1)]).unwrap();
    write(&mut engine, run, 1, (1..=60).map(|step| add(step, 1)).collect());
    let database = Connection::open(engine.path().join("stepwell.db")).unwrap();
    assert_eq!(database.execute("UPDATE metric SET more = '[]' WHERE train_step = 10", []).unwrap(), 1);
    write(&mut engine, run, 1, (61..=300).map(|step| add(step, 1)).collect());
    assert_eq!(engine.store.reader().measured_up_to(run, &step()).unwrap(), Some(300));
    assert!(engine.store.build_blocks(run, &step(), 9).is_err());
}
