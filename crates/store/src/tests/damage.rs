//! Damage is found: a changed log, a changed table, a lost WAL.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

use crate::integrity::chain;
use crate::{Batch, LeaseExtension, Reader, Remark, Store, StoreError, check};
use stepwell_base::artifact::Outputs;
use stepwell_base::ids::{Fence, StepId};
use stepwell_run::estimate::ProgressMark;
use stepwell_run::event::{Event, Recorded, Ruling, RunEvent, StepEventKind, Verdict, Wait};
use stepwell_run::request::Request;

use super::fixture::*;

/// The state directory of an engine that stopped after some commits.
fn stopped() -> TempDir {
    let (mut engine, run) = Engine::with_run();
    engine.commit(run, [started("a", 1), checkpointed("a", 1, 1)]).unwrap();
    engine.commit(run, [succeeded("a", 1), ready("b")]).unwrap();
    assert_eq!(check(engine.path()).unwrap(), []);
    engine.stop()
}

fn edit(dir: &Path, sql: &str) {
    let database = Connection::open(dir.join("stepwell.db")).unwrap();
    database.pragma_update(None, "foreign_keys", false).unwrap();
    assert!(database.execute(sql, []).unwrap() > 0, "`{sql}` changed nothing");
}

/// The problems found after an edit, as one text.
fn problems_after(sql: &str) -> String {
    let dir = stopped();
    edit(dir.path(), sql);
    let problems = check(dir.path()).unwrap();
    assert!(!problems.is_empty(), "`{sql}` was not found");
    problems.iter().map(|problem| problem.what.as_str()).collect::<Vec<_>>().join("\n")
}

#[test]
fn an_edited_event_breaks_the_hash_chain() {
    let text = problems_after(r#"UPDATE event SET payload = replace(payload, 'key-a', 'key-b') WHERE seq = 4"#);
    assert!(text.contains("event 4 of run") && text.contains("does not match its hash"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    let text = problems_after("UPDATE event SET at = '2000-01-01T00:00:00.000Z' WHERE seq = 2");
    assert!(text.contains("event 2"), "{text}");
    let text = problems_after("UPDATE event SET kind = 'note' WHERE seq = 2");
    assert!(text.contains("event 2 has another kind"), "{text}");
}

#[test]
fn a_forged_hash_breaks_the_next_one() {
    let dir = stopped();
    let database = Connection::open(dir.path().join("stepwell.db")).unwrap();
    let previous: String = database.query_row("SELECT hash FROM event WHERE seq = 3", [], |row| row.get(0)).unwrap();
    let sql = "SELECT run, at, replace(payload, 'key-a', 'key-b') FROM event WHERE seq = 4";
    let (run, at, payload): (String, String, String) =
        database.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    let forged = chain::hash(&previous, 4, &run, &at, &payload);
    database.execute("UPDATE event SET payload = ?1, hash = ?2 WHERE seq = 4", [payload, forged]).unwrap();
    let problems = check(dir.path()).unwrap();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].what.contains("event 5 of run"), "{problems:?}");
}

#[test]
fn a_missing_event_is_found() {
    let text = problems_after("DELETE FROM event WHERE seq = 3");
    assert!(text.contains("event 3 is missing"), "{text}");
}

#[test]
fn tables_must_say_what_the_log_says() {
    for (sql, expected) in [
        ("UPDATE run SET status = 'succeeded'", "status is succeeded, the log says running"),
        ("UPDATE run SET spec_digest = 'x'", "its digest is"),
        ("UPDATE step SET status = 'succeeded' WHERE id = 'b'", "step `b`: status is succeeded"),
        ("UPDATE step SET fence = 9 WHERE id = 'a'", "step `a`: fence is 9, the log says 1"),
        ("UPDATE step SET attempts = 2 WHERE id = 'a'", "step `a`: attempts is 2"),
        ("UPDATE step SET retries_used = 2 WHERE id = 'a'", "step `a`: retries_used is 2"),
        ("UPDATE step_output SET size = 9", "step `a`: outputs"),
        ("UPDATE step SET output_values = '{}' WHERE id = 'a'", "step `a`: outputs"),
        ("DELETE FROM checkpoint", "step `a`: checkpoints"),
        ("DELETE FROM step WHERE id = 'c'", "step `c` has events but no row"),
        ("DELETE FROM artifact", "foreign key: table `checkpoint`"),
        ("UPDATE run SET spec = '{}'", "the workflow of run"),
        ("UPDATE run SET spec = json_set(spec, '$.description', 'x')", "was submitted"),
        // Only a rebuild of the tables finds these.
        ("UPDATE step SET key = 'other' WHERE id = 'a'", "`key` is `other`, the log says `key-a`"),
        ("UPDATE step SET arguments = '{}' WHERE id = 'a'", "`arguments` is `{}`"),
        ("UPDATE checkpoint SET loss = 2", "`loss` is 2, the log says 1"),
        ("UPDATE attempt SET finished_at = NULL", "`finished_at` is nothing"),
        ("DELETE FROM attempt", "table `attempt`: row"),
        ("UPDATE artifact SET media_type = 'x'", "table `artifact`: row"),
        ("UPDATE step SET children = 2 WHERE id = 'a'", "`children` is 2, the log says nothing"),
        ("UPDATE run SET created_at = '2000-01-01T00:00:00.000Z'", "`created_at` is"),
        ("UPDATE event SET step = 'b' WHERE seq = 4", "another kind or step"),
    ] {
        let text = problems_after(&format!("{sql} -- {expected}"));
        assert!(text.contains(expected), "{sql}: {text}");
    }
}

#[test]
fn a_changed_view_or_constraint_is_found() {
    let dir = stopped();
    let database = Connection::open(dir.path().join("stepwell.db")).unwrap();
    database.execute_batch("DROP VIEW runs; CREATE VIEW runs AS SELECT 1;").unwrap();
    let problems = check(dir.path()).unwrap();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].what.contains("view `runs`"), "{problems:?}");
}

#[test]
fn a_changed_workflow_is_not_used() {
    let (engine, run) = Engine::with_run();
    edit(engine.path(), "UPDATE run SET spec = json_set(spec, '$.steps[0].kind', 'noot')");
    let error = engine.store.reader().spec(run).unwrap_err();
    assert!(matches!(error, StoreError::DamagedSpec { .. }), "{error}");
    assert!(error.hint().unwrap().contains("db restore"));
}

/// A state directory with metrics and a request, under a valid seal.
fn with_unlogged() -> TempDir {
    let (mut engine, run) = Engine::with_run();
    engine.commit(run, [started("a", 1)]).unwrap();
    engine.metrics(run, 1, &[1, 2, 3]).unwrap();
    engine.store.record_environment("{\"cpu\":\"x\"}").unwrap();
    engine.store.request(run, &Request::Cancel, at(3)).unwrap();
    let tags = BTreeSet::from(["good".parse().unwrap()]);
    engine.store.remark(run, &Remark::Tags { add: tags, remove: BTreeSet::new() }, at(4)).unwrap();
    assert_eq!(check(engine.path()).unwrap(), []);
    engine.stop()
}

#[test]
fn what_is_not_in_the_log_is_protected_too() {
    for (sql, expected) in [
        ("UPDATE metric SET loss = loss + 1e-12 WHERE train_step = 2", "the metrics of training step 2 are damaged"),
        ("UPDATE metric SET tokens_per_second = 6 WHERE train_step = 3", "training step 3"),
        ("UPDATE metric SET train_step = 9 WHERE train_step = 1", "training step 9"),
        ("UPDATE metric SET more = '{\"z_loss\":0.5}' WHERE train_step = 2", "training step 2"),
        (
            "UPDATE request SET at = '2000-01-01T00:00:00.000Z'",
            "requests, schedules, environments, tags, notes, tokens, files, batches, messages, machines or `meta`",
        ),
        ("DELETE FROM request", "requests, schedules"),
        ("UPDATE meta SET value = 7 WHERE key = 'engine_epoch'", "`meta`"),
        ("UPDATE meta SET key = 'seam' WHERE key = 'seal'", "`meta`"),
        ("UPDATE environment SET body = '{}'", "environments"),
        ("UPDATE annotation SET tags = '[\"bad\"]'", "tags"),
        ("DELETE FROM annotation", "tags"),
    ] {
        let dir = with_unlogged();
        edit(dir.path(), sql);
        let problems = check(dir.path()).unwrap();
        assert!(problems.iter().any(|problem| problem.what.contains(expected)), "{sql}: {problems:?}");
    }
}

#[test]
fn the_work_of_an_attempt_that_outlived_its_first_lease_is_not_damage() {
    let (mut engine, run) = Engine::with_run();
    engine.commit(run, [started("a", 1)]).unwrap();
    let progress = Some(ProgressMark { done: 5, total: 9, at: at(50), first_done: 1, first_at: at(2) });
    let lease = LeaseExtension { run, step: "a".into(), fence: Fence(1), expires_at: at(100), progress };
    engine.store.commit(Batch { leases: &[lease], ..Batch::default() }).unwrap();
    assert_eq!(check(engine.path()).unwrap(), []);
    let end = [Recorded { run, at: at(61), event: succeeded("a", 1) }];
    engine.store.commit(Batch { events: &end, ..Batch::default() }).unwrap();
    assert_eq!(check(engine.path()).unwrap(), []);
    for (change, expected) in [("+ 1000", "longer than it took"), ("- 50000", "the log says 29")] {
        edit(engine.path(), &format!("UPDATE attempt SET compute_ms = compute_ms {change}"));
        edit(engine.path(), &format!("UPDATE step SET compute_ms = compute_ms {change} WHERE id = 'a'"));
        let problems = check(engine.path()).unwrap();
        assert!(problems.iter().any(|problem| problem.what.contains(expected)), "{change}: {problems:?}");
    }
}

#[test]
fn a_damaged_metric_is_not_given_out() {
    let dir = with_unlogged();
    edit(dir.path(), "UPDATE metric SET loss = 0 WHERE train_step = 2");
    let reader = Reader::open(dir.path()).unwrap();
    let run = reader.resolve_run("last").unwrap();
    let error = reader.metrics(run, &"a".into(), 0).unwrap_err();
    assert!(matches!(error, StoreError::DamagedMetric { train_step: 2, .. }), "{error}");
}

#[test]
fn metrics_that_are_lost_with_the_log_are_noticed() {
    let (mut engine, run) = Engine::with_run();
    engine.commit(run, [started("a", 1)]).unwrap();
    engine.metrics(run, 1, &[1, 2, 3]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for file in ["stepwell.db", "stepwell.db-wal", "event-head"] {
        fs::copy(engine.path().join(file), dir.path().join(file)).unwrap();
    }
    let wal = dir.path().join("stepwell.db-wal");
    let length = fs::metadata(&wal).unwrap().len();
    fs::OpenOptions::new().write(true).open(&wal).unwrap().set_len(length - 1).unwrap();
    let error = Store::open(dir.path()).err().unwrap();
    assert!(matches!(error, StoreError::LostCommits { lost: 1, .. }), "{error}");
    let problems = check(dir.path()).unwrap();
    assert!(problems[0].what.contains("lost 1 commits of metrics"), "{problems:?}");
}

/// Copies the files of a live engine as a crash would leave them: the newest commits are only in the WAL.
fn crashed() -> (TempDir, PathBuf) {
    let (mut engine, run) = Engine::with_run();
    engine.commit(run, [started("a", 1)]).unwrap();
    engine.commit(run, [succeeded("a", 1)]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for file in ["stepwell.db", "stepwell.db-wal", "event-head"] {
        fs::copy(engine.path().join(file), dir.path().join(file)).unwrap();
    }
    let wal = dir.path().join("stepwell.db-wal");
    assert!(fs::metadata(&wal).unwrap().len() > 4096);
    (dir, wal)
}

fn assert_lost(dir: &Path, seq: i64) {
    let wal = || fs::read(dir.join("stepwell.db-wal")).ok();
    let before = wal();
    for _ in 0..2 {
        match Store::open(dir) {
            Err(StoreError::LostEvents { seq: lost, .. }) => assert_eq!(lost, seq),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("the loss was not noticed"),
        }
        assert!(before.is_none() || wal() == before, "a refused WAL is left as it is");
    }
    let problems = check(dir).unwrap();
    assert!(problems.iter().any(|problem| problem.what.contains("lost committed events")), "{problems:?}");
    assert!(problems.iter().any(|problem| problem.hint.contains("rm ")), "{problems:?}");
}

#[test]
fn a_crash_alone_loses_nothing() {
    let (dir, _) = crashed();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.reader().events(None, 0).unwrap().len(), 5);
    drop(store);
    assert_eq!(check(dir.path()).unwrap(), []);
}

#[test]
fn a_truncated_wal_is_noticed() {
    let (dir, wal) = crashed();
    let length = fs::metadata(&wal).unwrap().len();
    fs::OpenOptions::new().write(true).open(&wal).unwrap().set_len(length - 1).unwrap();
    assert_lost(dir.path(), 5);
}

#[test]
fn a_removed_wal_is_noticed_and_the_loss_can_be_accepted() {
    let (dir, _) = crashed();
    let wal = dir.path().join("stepwell.db-wal");
    fs::remove_file(wal).unwrap();
    assert_lost(dir.path(), 5);
    fs::remove_file(dir.path().join("event-head")).unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.reader().events(None, 0).unwrap(), []);
}

#[test]
fn a_removed_database_is_noticed() {
    let dir = stopped();
    fs::remove_file(dir.path().join("stepwell.db")).unwrap();
    for _ in 0..2 {
        assert!(matches!(Store::open(dir.path()), Err(StoreError::LostEvents { seq: 7, .. })));
    }
    fs::remove_file(dir.path().join("event-head")).unwrap();
    drop(Store::open(dir.path()).unwrap());
}

#[test]
fn a_flipped_bit_in_the_wal_is_noticed() {
    let (dir, wal) = crashed();
    let mut bytes = fs::read(&wal).unwrap();
    let at = bytes.len() - 100;
    bytes[at] ^= 1;
    fs::write(&wal, bytes).unwrap();
    assert_lost(dir.path(), 5);
}

#[test]
fn another_history_under_the_same_number_is_noticed() {
    let dir = stopped();
    let head = dir.path().join("event-head");
    // Write the line like a build without sums; with a sum, the changed digit alone would be detected.
    let mut line: serde_json::Value = serde_json::from_slice(&fs::read(&head).unwrap()).unwrap();
    line.as_object_mut().unwrap().remove("sum").unwrap();
    let text = line.to_string();
    let digit = text.find("hash").unwrap() + 7;
    let other = if text.as_bytes()[digit] == b'0' { "1" } else { "0" };
    fs::write(&head, format!("{}{other}{}", &text[..digit], &text[digit + 1..])).unwrap();
    assert_lost(dir.path(), 7);
    fs::write(&head, "rubbish").unwrap();
    let error = Store::open(dir.path()).err().unwrap();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(error.hint().unwrap().contains("rm "), "{error}");
}

#[test]
fn an_older_head_is_fine() {
    let (mut engine, run) = Engine::with_run();
    let head = fs::read(engine.path().join("event-head")).unwrap();
    assert_eq!(head.len(), 128);
    engine.commit(run, [started("a", 1)]).unwrap();
    let dir = engine.stop();
    fs::write(dir.path().join("event-head"), head).unwrap();
    drop(Store::open(dir.path()).unwrap());
    assert_eq!(check(dir.path()).unwrap(), []);
}

#[test]
fn a_file_that_is_no_database_is_called_damaged() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("stepwell.db"), vec![b'x'; 8192]).unwrap();
    assert!(matches!(Store::open(dir.path()), Err(StoreError::Damaged { .. })));
    assert!(matches!(Reader::open(dir.path()), Err(StoreError::Damaged { .. })));
    fs::remove_file(dir.path().join("stepwell.db")).unwrap();
    fs::create_dir(dir.path().join("stepwell.db")).unwrap();
    assert!(matches!(Store::open(dir.path()), Err(StoreError::Io { action: "open", .. })));
}

#[test]
fn forged_decisions_and_signals_are_found() {
    let waiting = || {
        let (mut engine, run) = Engine::with_run();
        let ruling = Ruling {
            rule: "loss < 2".to_owned(),
            inputs: Value::Null,
            verdict: Verdict::Rejected,
            approver: None,
            comment: None,
        };
        let step = StepId::from("a");
        let go = Wait::Signal { name: "go".to_owned() };
        let signal =
            |payload: i64| Event::Run(RunEvent::SignalReceived { name: "go".to_owned(), payload: payload.into() });
        let events = [
            StepEventKind::Decided { ruling }.of(step.clone()),
            signal(1),
            signal(2),
            StepEventKind::Waiting { wait: go }.of(step.clone()),
            StepEventKind::Succeeded { outputs: Outputs::default() }.under(step, Fence(0)),
        ];
        engine.commit(run, events).unwrap();
        let signals = engine.store.reader().signals(run).unwrap();
        assert_eq!(signals.iter().map(|row| row.taken_by.is_some()).collect::<Vec<_>>(), [true, false]);
        assert_eq!(engine.store.reader().free_signals(run).unwrap().len(), 1);
        assert_eq!(check(engine.path()).unwrap(), []);
        engine.stop()
    };
    for (sql, what) in [
        ("UPDATE decision SET verdict = 'approved'", "decisions is"),
        ("UPDATE signal SET taken_by = NULL", "signals is"),
        ("DELETE FROM signal WHERE taken_by IS NULL", "signals is"),
    ] {
        let dir = waiting();
        edit(dir.path(), sql);
        let problems = check(dir.path()).unwrap();
        assert!(problems.iter().any(|problem| problem.what.contains(what)), "{sql}: {problems:?}");
    }
}
