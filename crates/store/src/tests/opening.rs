//! Opening: settings, schema versions, lack of space.

use std::fs::{self, File};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::open::migrate::{self, SUPPORTED};
use crate::{Batch, EngineLock, Reader, Store, StoreError, Submitted, check};
use stepwell_run::event::{Event, RunEvent};

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
        let found: i64 = engine.store.reader().connection.pragma_query_value(None, name, |row| row.get(0)).unwrap();
        assert_eq!(found, expected, "{name}");
    }
    let mode: String =
        engine.store.reader().connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    let loose = "SELECT count(*) FROM pragma_table_list
                 WHERE schema = 'main' AND type = 'table' AND strict = 0 AND name NOT LIKE 'sqlite%' AND name NOT LIKE 'refinery%'";
    let loose: i64 = engine.store.reader().connection.query_row(loose, [], |row| row.get(0)).unwrap();
    assert_eq!(loose, 0, "tables that are not STRICT");
}

#[test]
fn the_supported_schema_is_that_of_the_last_migration() {
    let last = migrate::runner().get_migrations().iter().map(refinery::Migration::version).max().unwrap();
    assert_eq!(u32::try_from(last).unwrap(), SUPPORTED);
    let engine = Engine::start();
    assert_eq!(migrate::version(&engine.store.reader().connection, engine.path()).unwrap(), SUPPORTED);
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
    assert_eq!(migrate::version(&store.reader().connection, dir.path()).unwrap(), SUPPORTED);
    let epoch =
        |connection: &Connection| connection.query_row("SELECT value FROM meta", [], |row| row.get::<_, i64>(0));
    assert_eq!(epoch(&store.reader().connection).unwrap(), 41);
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

/// A state directory with the empty tables of schema 1.
fn old_state() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut old = Connection::open(dir.path().join("stepwell.db")).unwrap();
    migrate::runner().set_target(refinery::Target::Version(1)).run(&mut old).unwrap();
    dir
}

fn schema(dir: &Path) -> u32 {
    let connection = Connection::open(dir.join("stepwell.db")).unwrap();
    connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

/// The lock is held through a file handle that the store does not know, like that of another process.
#[test]
fn nobody_migrates_under_a_running_engine() {
    let dir = old_state();
    let engine = File::create(dir.path().join("engine.lock")).unwrap();
    engine.lock().unwrap();
    fs::write(
        dir.path().join("engine.lock"),
        r#"{"pid":7,"host":"h","started_at":"2026-01-01T00:00:00Z","command":"stepwell worker"}"#,
    )
    .unwrap();
    let refused = [Reader::open(dir.path()).err(), Store::open(dir.path()).err(), check(dir.path()).err()];
    for error in refused.into_iter().map(Option::unwrap) {
        assert!(matches!(error, StoreError::OlderSchema { found: 1, supported: SUPPORTED, .. }), "{error}");
        assert!(error.to_string().contains("engine process 7") && error.hint().unwrap().contains("kill 7"));
    }
    assert_eq!(schema(dir.path()), 1);
    assert!(!dir.path().join("backups").exists());
    drop(engine);
    Reader::open(dir.path()).unwrap();
    assert_eq!(schema(dir.path()), SUPPORTED);
}

#[test]
fn the_holder_of_the_lock_migrates_and_others_wait_for_it() {
    let dir = old_state();
    let lock = EngineLock::acquire(dir.path()).unwrap();
    Store::open(dir.path()).unwrap();
    assert_eq!(schema(dir.path()), SUPPORTED);
    drop(lock);

    let dir = old_state();
    thread::scope(|scope| {
        let readers: Vec<_> = (0..4).map(|_| scope.spawn(|| Reader::open(dir.path()).map(drop))).collect();
        for reader in readers {
            reader.join().unwrap().unwrap();
        }
    });
    assert_eq!(fs::read_dir(dir.path().join("backups")).unwrap().count(), 1);
}

/// A command line may hold secrets, and every user may read the file.
#[test]
fn the_lock_file_says_who_runs_and_not_with_which_arguments() {
    let engine = Engine::start();
    let text = fs::read_to_string(engine.path().join("engine.lock")).unwrap();
    let holder: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
    let keys: Vec<&str> = holder.keys().map(String::as_str).collect();
    assert_eq!(keys, ["host", "pid", "run", "schema", "slots", "started_at"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_state_in_a_path_of_any_bytes_can_be_written_and_read() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join(OsStr::from_bytes(b"a b%41?mode=rwc#\xff\xc3\xa4"));
    let lock = EngineLock::acquire(&state).unwrap();
    drop(Store::open(&state).unwrap());
    Reader::open(&state).unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(EngineLock::holder(&state).unwrap().pid, std::process::id());
    drop(lock);
}

#[test]
fn a_lack_of_space_is_typed_loses_nothing_and_can_be_overcome() {
    let (mut engine, run) = Engine::with_run();
    let pages: i64 = engine.store.reader().connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    engine.store.reader().connection.pragma_update(None, "max_page_count", pages).unwrap();
    let large = Event::Run(RunEvent::Interrupted { reason: "x".repeat(100_000) });
    match engine.commit(run, [large.clone()]) {
        Err(StoreError::NoSpace { path }) => assert_eq!(path, engine.path().join("stepwell.db")),
        other => panic!("{other:?}"),
    }
    assert_eq!(engine.store.reader().events(None, 0).unwrap().len(), 3);
    // The database is reopened, without the limit of the old connection.
    engine.commit(run, [large]).unwrap();
    assert_eq!(check(engine.path()).unwrap(), []);
}

#[test]
fn opening_empties_the_wal_unless_another_engine_runs() {
    let (engine, _) = Engine::with_run();
    let wal = engine.path().join("stepwell.db-wal");
    let length = || fs::metadata(&wal).unwrap().len();
    assert!(length() > 0);
    drop(engine.lock);
    // A handle that the store does not know stands for another process.
    let another = File::open(engine.dir.path().join("engine.lock")).unwrap();
    another.lock().unwrap();
    let submitter = Store::open(engine.dir.path()).unwrap();
    assert!(length() > 0);
    drop(submitter);
    drop(another);
    let _next = Store::open(engine.dir.path()).unwrap();
    assert_eq!(length(), 0);
}

/// A database browser, for example, prevents the engine from emptying the WAL, whose bytes are then written again.
#[test]
fn a_reader_keeps_no_engine_from_starting() {
    let (engine, run) = Engine::with_run();
    let dir = engine.stop();
    let reader = Connection::open(dir.path().join("stepwell.db")).unwrap();
    let count = || reader.query_row("SELECT count(*) FROM event", [], |row| row.get::<_, i64>(0)).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let seen = count();
    Store::open(dir.path()).unwrap().submit(new_run("two")).unwrap();
    let wal = dir.path().join("stepwell.db-wal");
    let (bytes, written_at) = (fs::read(&wal).unwrap(), fs::metadata(&wal).unwrap().modified().unwrap());
    assert!(!bytes.is_empty());
    thread::sleep(Duration::from_millis(20));
    let start = Instant::now();
    let lock = EngineLock::acquire(dir.path()).unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(fs::read(&wal).unwrap(), bytes);
    assert!(fs::metadata(&wal).unwrap().modified().unwrap() > written_at, "it was not written again");
    store.begin_epoch(&lock).unwrap();
    store.commit(Batch { events: &recorded(run, [started("a", 1)]), ..Batch::default() }).unwrap();
    assert_eq!(count(), seen);
    reader.execute_batch("ROLLBACK").unwrap();
    assert!(count() > seen);
    drop((store, lock, reader));
    assert_eq!(check(dir.path()).unwrap(), []);
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
