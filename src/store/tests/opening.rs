//! Opening: settings, schema versions, space.

use std::fs;
use std::thread;

use rusqlite::Connection;

use crate::core::event::Event;
use crate::store::migrate::{self, SUPPORTED};
use crate::store::{Reader, Store, StoreError, Submitted, check};

use super::fixture::*;

#[test]
fn sqlite_has_the_wal_fixes() {
    assert!(rusqlite::version_number() >= 3_051_003, "SQLite {}", rusqlite::version());
}

#[test]
fn a_writing_connection_is_set_up_for_durability() {
    let engine = Engine::start();
    for (name, expected) in
        [("synchronous", 2), ("foreign_keys", 1), ("wal_autocheckpoint", 0), ("busy_timeout", 10_000)]
    {
        let found: i64 = engine.store.connection.pragma_query_value(None, name, |row| row.get(0)).unwrap();
        assert_eq!(found, expected, "{name}");
    }
    let mode: String = engine.store.connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    let loose = "SELECT count(*) FROM pragma_table_list
                 WHERE schema = 'main' AND type = 'table' AND strict = 0 AND name NOT LIKE 'sqlite%' AND name NOT LIKE 'refinery%'";
    let loose: i64 = engine.store.connection.query_row(loose, [], |row| row.get(0)).unwrap();
    assert_eq!(loose, 0, "tables that are not STRICT");
}

#[test]
fn the_supported_schema_is_that_of_the_last_migration() {
    let last = migrate::runner().get_migrations().iter().map(refinery::Migration::version).max().unwrap();
    assert_eq!(u32::try_from(last).unwrap(), SUPPORTED);
    let engine = Engine::start();
    assert_eq!(migrate::version(&engine.store.connection, engine.path()).unwrap(), SUPPORTED);
}

#[test]
fn without_state_a_reader_says_so_and_creates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("none");
    assert!(matches!(Reader::open(&path), Err(StoreError::NoState { .. })));
    assert!(!path.exists());
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let dir = Engine::start().stop();
    let path = dir.path().join("stepwell.db");
    Connection::open(&path).unwrap().pragma_update(None, "user_version", SUPPORTED + 1).unwrap();
    let before = fs::read(&path).unwrap();
    for error in [Store::open(dir.path()).err(), Reader::open(dir.path()).err(), check(dir.path()).err()] {
        match error.unwrap() {
            StoreError::NewerSchema { found, supported, .. } => {
                assert_eq!((found, supported), (SUPPORTED + 1, SUPPORTED))
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn an_older_schema_is_backed_up_and_migrated() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stepwell.db");
    let mut old = Connection::open(&path).unwrap();
    migrate::runner().set_target(refinery::Target::Version(1)).run(&mut old).unwrap();
    old.execute("UPDATE meta SET value = 41", []).unwrap();
    drop(old);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(migrate::version(&store.connection, dir.path()).unwrap(), SUPPORTED);
    let epoch =
        |connection: &Connection| connection.query_row("SELECT value FROM meta", [], |row| row.get::<_, i64>(0));
    assert_eq!(epoch(&store.connection).unwrap(), 41);
    let backups: Vec<_> =
        fs::read_dir(dir.path().join("backups")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(backups.len(), 1);
    let backup = Connection::open(&backups[0]).unwrap();
    assert_eq!(epoch(&backup).unwrap(), 41);
    assert_eq!(migrate::version(&backup, &backups[0]).unwrap(), 1);
    drop(backup);
    drop(Store::open(dir.path()).unwrap());
    assert_eq!(fs::read_dir(dir.path().join("backups")).unwrap().count(), 1, "only a migration makes a backup");
}

#[test]
fn a_lack_of_space_is_typed_loses_nothing_and_can_be_overcome() {
    let (mut engine, run) = Engine::with_run();
    let pages: i64 = engine.store.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    engine.store.connection.pragma_update(None, "max_page_count", pages).unwrap();
    let large = Event::RunInterrupted { reason: "x".repeat(100_000) };
    match engine.commit(run, [large.clone()]) {
        Err(StoreError::NoSpace { path }) => assert_eq!(path, engine.path().join("stepwell.db")),
        other => panic!("{other:?}"),
    }
    assert_eq!(engine.store.events(None, 0).unwrap().len(), 3);
    // The database is opened anew, without the limit of the old connection.
    engine.commit(run, [large]).unwrap();
    assert_eq!(check(engine.path()).unwrap(), []);
}

#[test]
fn opening_empties_the_wal_unless_another_engine_runs() {
    let (engine, _) = Engine::with_run();
    let wal = engine.path().join("stepwell.db-wal");
    let length = || fs::metadata(&wal).unwrap().len();
    assert!(length() > 0);
    let mut holder: serde_json::Value =
        serde_json::from_slice(&fs::read(engine.path().join("engine.lock")).unwrap()).unwrap();
    holder["pid"] = 1.into();
    fs::write(engine.path().join("engine.lock"), holder.to_string()).unwrap();
    let submitter = Store::open(engine.path()).unwrap();
    assert!(length() > 0);
    drop(submitter);
    drop(engine.lock);
    let _next = Store::open(engine.dir.path()).unwrap();
    assert_eq!(length(), 0);
}

#[test]
fn many_processes_may_create_and_submit_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fresh");
    let outcomes: Vec<_> = thread::scope(|scope| {
        let submit = || {
            let mut store = Store::open(&path)?;
            store.submit(new_run("own")).map(|submitted| assert_eq!(submitted, Submitted::New))
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(submit)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for error in outcomes.into_iter().filter_map(Result::err) {
        assert!(matches!(error, StoreError::NameActive { .. }), "{error}");
    }
    assert_eq!(check(&path).unwrap(), []);
}

#[test]
fn a_reader_works_while_the_engine_writes() {
    let (mut engine, run) = Engine::with_run();
    let reader = Reader::open(engine.path()).unwrap();
    engine.commit(run, [started("a", 1)]).unwrap();
    assert_eq!(reader.events(Some(run), 3).unwrap().len(), 1);
    assert!(reader.connection.execute("DELETE FROM event", []).is_err());
}
