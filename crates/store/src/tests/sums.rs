//! Steps' rows sum the work of their attempts, and a fan-out's row keeps its counters. After any history, they equal a
//! count over all rows.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use rusqlite::Connection;
use serde_json::json;

use crate::{Batch, LeaseExtension, Reader, StepRow, check};
use stepwell_base::artifact::Outputs;
use stepwell_base::failure::Failure;
use stepwell_base::ids::{Fence, RunId};
use stepwell_base::rng::Rng;
use stepwell_run::event::{Event, Recorded, StepEventKind};
use stepwell_run::status::StepStatus;

use super::fixture::*;

/// Work of the attempts of each step, in milliseconds.
fn by_attempts(reader: &Reader) -> BTreeMap<String, i64> {
    let mut statement =
        reader.connection.prepare("SELECT step, coalesce(sum(compute_ms), 0) FROM attempt GROUP BY step").unwrap();
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

fn kept(reader: &Reader, step: &str) -> [i64; 5] {
    let sql =
        "SELECT compute_ms, children_done, children_failed, children_timed, children_timed_ms FROM step WHERE id = ?1";
    let number = |row: &rusqlite::Row<'_>, index| row.get(index).unwrap();
    reader.connection.query_row(sql, [step], |row| Ok(std::array::from_fn(|index| number(row, index)))).unwrap()
}

#[track_caller]
fn assert_sums(reader: &Reader, run: RunId) {
    let work = by_attempts(reader);
    let of = |step: &StepRow| work.get(step.id.as_str()).copied().unwrap_or(0);
    let steps = reader.steps(run).unwrap();
    for step in &steps {
        let children: Vec<&StepRow> = steps.iter().filter(|child| child.parent.as_ref() == Some(&step.id)).collect();
        let count = |counted: &dyn Fn(&StepRow) -> bool| children.iter().filter(|child| counted(child)).count() as i64;
        let timed = |child: &StepRow| child.status == StepStatus::Succeeded && child.attempts > 0;
        let expected = [
            of(step) + children.iter().map(|child| of(child)).sum::<i64>(),
            count(&|child| matches!(child.status, StepStatus::Succeeded | StepStatus::Skipped)),
            count(&|child| child.status == StepStatus::Failed),
            count(&timed),
            children.iter().filter(|child| timed(child)).map(|child| of(child)).sum(),
        ];
        assert_eq!(kept(reader, step.id.as_str()), expected, "{}", step.id);
    }
    assert_eq!(reader.compute(run).unwrap(), SignedDuration::from_millis(work.values().sum()));
}

fn event_of(rng: &mut Rng, step: &StepRow) -> Event {
    let (id, fence) = (step.id.as_str(), step.fence.0);
    match (step.status, rng.below(8)) {
        (StepStatus::Running, 0) => failed(id, fence),
        (StepStatus::Running, 1) => released(id, fence),
        (StepStatus::Running, 2) => StepEventKind::Failed { failure: Failure::fatal("x") }.of(id.into()),
        (StepStatus::Running, 3) => StepEventKind::Canceled.of(id.into()),
        (StepStatus::Running, _) => succeeded(id, fence),
        (StepStatus::Ready, 0) => StepEventKind::Skipped { reason: "x".to_owned() }.of(id.into()),
        (StepStatus::Ready, _) => started(id, step.attempts + 1),
        _ => ready(id),
    }
}

#[test]
fn kept_sums_are_those_of_all_rows() {
    let mut applied = 0;
    for seed in 0..4 {
        let mut rng = Rng::new(seed);
        let (mut engine, run) = Engine::with_run();
        // This test does not cover durability.
        engine.store.reader().connection.pragma_update(None, "synchronous", "OFF").unwrap();
        let items = (0..12).map(|item| json!(item)).collect();
        engine.commit(run, [StepEventKind::Expanded { items }.of("c".into())]).unwrap();
        for round in 0..80 {
            let rows = engine.store.reader().steps(run).unwrap();
            let mut events = Vec::new();
            for _ in 0..1 + rng.below(6) {
                let step = &rows[rng.below(rows.len() as u64) as usize];
                let open = step.id.as_str() != "c" && step.status != StepStatus::Succeeded;
                if open && events.iter().all(|Recorded { event, .. }| event.step() != Some(&step.id)) {
                    let first = event_of(&mut rng, step);
                    let claimed = matches!(first.step_kind(), Some(StepEventKind::AttemptStarted { .. }));
                    let time = |rng: &mut Rng| at(round) + Duration::from_millis(rng.below(900));
                    events.push(Recorded { run, at: time(&mut rng), event: first });
                    // A step on the engine's own thread: its claim and its end share the commit.
                    if claimed && rng.below(2) == 0 {
                        let fence = step.fence.0 + 1;
                        let id = step.id.clone();
                        let last = match rng.below(4) {
                            0 => failed(id.as_str(), fence),
                            1 => succeeded(id.as_str(), fence),
                            // The store writes this pair at once.
                            _ => StepEventKind::Succeeded { outputs: Outputs::default() }.under(id, Fence(fence)),
                        };
                        events.push(Recorded {
                            run,
                            at: at(round) + Duration::from_millis(900 + rng.below(99)),
                            event: last,
                        });
                    }
                }
            }
            let leased = rows.iter().find(|row| row.status == StepStatus::Running);
            let leases: Vec<LeaseExtension> = leased
                .map(|row| LeaseExtension {
                    run,
                    step: row.id.clone(),
                    fence: Fence(row.fence.0),
                    expires_at: at(round + 20),
                    progress: None,
                })
                .into_iter()
                .collect();
            let batch = Batch { events: &events, leases: &leases, ..Batch::default() };
            applied += usize::from(engine.store.commit(batch).is_ok()) * events.len();
            assert_sums(engine.store.reader(), run);
        }
        assert_eq!(check(engine.path()).unwrap(), [], "seed {seed}");
    }
    assert!(applied > 200, "{applied}");
}

#[test]
fn a_changed_sum_is_found() {
    let (mut engine, run) = Engine::with_run();
    let items = vec![json!(0), json!(1)];
    engine.commit(run, [StepEventKind::Expanded { items }.of("c".into()), ready("c[0]")]).unwrap();
    let later = |at, event| Recorded { run, at, event };
    let events = [later(at(1), started("c[0]", 1)), later(at(3), succeeded("c[0]", 1))];
    engine.store.commit(Batch { events: &events, ..Batch::default() }).unwrap();
    assert_eq!(engine.store.reader().compute(run).unwrap(), SignedDuration::from_secs(2));
    assert_eq!(engine.store.reader().usual_durations(run).unwrap().get(&2), Some(&Duration::from_secs(2)));
    let dir = engine.stop();
    assert_eq!(check(dir.path()).unwrap(), []);
    // The log alone allows more, because heartbeats extend leases; a sum reveals it.
    for sql in ["compute_ms = compute_ms + 1", "children_timed_ms = children_timed_ms + 1"] {
        let database = Connection::open(dir.path().join("stepwell.db")).unwrap();
        database.execute(&format!("UPDATE step SET {sql} WHERE id = 'c'"), []).unwrap();
        drop(database);
        let problems = check(dir.path()).unwrap();
        assert!(problems.iter().any(|problem| problem.what.contains("not the sum")), "{sql}: {problems:?}");
        let database = Connection::open(dir.path().join("stepwell.db")).unwrap();
        database.execute(&format!("UPDATE step SET {} WHERE id = 'c'", sql.replace('+', "-")), []).unwrap();
    }
}
