//! Opens state directories of older releases, which `scripts/schema_fixture.sh` made with their binaries, and of schemas between
//! releases.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use rusqlite::Connection;
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use tempfile::TempDir;

use crate::integrity::seal;
use crate::open::migrate::{self, SUPPORTED};
use crate::{Store, TokenKind, check};
use stepwell_base::scope::Scope;
use stepwell_run::status::RunStatus;

const DIR: &str = "STEPWELL_TEST_UPGRADE_DIR";
const FROM: &str = "STEPWELL_TEST_UPGRADE_FROM";
/// Number of the statement before which the child dies.
const DIE_AT: &str = "STEPWELL_TEST_UPGRADE_DIE_AT";

static STATEMENTS: AtomicUsize = AtomicUsize::new(0);

/// Released schemas older than this build's.
const RELEASED: [u32; 5] = [2, 3, 4, 5, 7];

fn fixture(version: u32) -> TempDir {
    let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/fixtures/schema/v{version}"));
    let dir = tempfile::tempdir().unwrap();
    for name in ["stepwell.db", "event-head"] {
        fs::copy(source.join(name), dir.path().join(name)).unwrap();
    }
    dir
}

#[track_caller]
fn assert_upgraded(dir: &Path, from: u32) {
    let store = Store::open(dir).unwrap();
    assert_eq!(migrate::version(&store.reader().connection, dir).unwrap(), SUPPORTED);
    assert_eq!(check(dir).unwrap(), []);
    let runs = store.reader().runs().unwrap().all().unwrap();
    let statuses: Vec<(&str, RunStatus)> = runs.iter().map(|run| (run.name.as_str(), run.stored_status)).collect();
    assert_eq!(
        statuses,
        [
            ("stopped", RunStatus::Running),
            ("ended", RunStatus::Canceled),
            ("waiting", RunStatus::Pending),
            ("broken", RunStatus::Failed),
            ("again", RunStatus::Succeeded),
            ("done", RunStatus::Succeeded),
        ]
    );
    let stopped = runs[0].id;
    assert_eq!(store.reader().metrics(stopped, &"count".into(), 0).unwrap().len(), 3);
    assert_eq!(store.reader().checkpoints(stopped, &"count".into()).unwrap().len(), 1);
    for run in &runs {
        store.reader().spec(run.id).unwrap();
    }
    let backups: Vec<PathBuf> = fs::read_dir(dir.join("backups")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!backups.is_empty());
    // A kill may have cut short the first backup; the next one is complete.
    let versions = backups.iter().filter_map(|path| {
        let version =
            Connection::open(path).and_then(|copy| copy.pragma_query_value(None, "user_version", |row| row.get(0)));
        version.ok()
    });
    assert!(versions.into_iter().any(|version: u32| version == from), "{backups:?}");
}

#[test]
fn every_released_schema_has_a_fixture_that_opens() {
    // No release had schemas 6 and 8 to 14.
    assert_eq!(RELEASED.last(), Some(&(SUPPORTED - 7)), "make a fixture with the binary of the last release");
    for version in RELEASED {
        let dir = fixture(version);
        assert_upgraded(dir.path(), version);
    }
}

#[test]
fn damage_under_the_old_seal_is_not_sealed_again() {
    let dir = fixture(4);
    let database = Connection::open(dir.path().join("stepwell.db")).unwrap();
    assert_eq!(database.execute("UPDATE request SET at = '2000-01-01T00:00:00.000Z'", []).unwrap(), 1);
    drop(database);
    for _ in 0..2 {
        drop(Store::open(dir.path()).unwrap());
        let problems = check(dir.path()).unwrap();
        assert!(problems.iter().any(|problem| problem.what.contains("requests, schedules")), "{problems:?}");
    }
}

/// Counts the statements of the migration, including its transaction and its backup.
fn count(event: TraceEvent<'_>) {
    if let TraceEvent::Stmt(..) = event {
        let number = STATEMENTS.fetch_add(1, Ordering::Relaxed) + 1;
        if std::env::var(DIE_AT).is_ok_and(|at| at == number.to_string()) {
            std::process::abort();
        }
    }
}

#[test]
fn child_that_migrates_until_it_dies() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let path = Path::new(&dir).join("stepwell.db");
    let mut connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "synchronous", "full").unwrap();
    connection.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(count)).unwrap();
    let from = std::env::var(FROM).unwrap().parse().unwrap();
    migrate::migrate(&mut connection, &path, from).unwrap();
    println!("migrated with {} statements", STATEMENTS.load(Ordering::Relaxed));
}

#[test]
fn a_migration_that_is_killed_at_any_statement_is_done_by_the_next_open() {
    for version in RELEASED {
        assert_survives_kills(version, || fixture(version), |dir| assert_upgraded(dir, version));
    }
    assert_survives_kills(12, with_tokens, assert_tokens_converted);
}

/// A state directory of schema 12. Its tables did not know the scope `infer`: such a token could read, and had a mark at the end of
/// its name.
fn with_tokens() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut old = Connection::open(dir.path().join("stepwell.db")).unwrap();
    migrate::runner().set_target(refinery::Target::Version(12)).run(&mut old).unwrap();
    for (number, name, scope) in [(1, "looks", "read"), (2, "asks\u{1f}infer", "read"), (3, "runs", "run")] {
        let sql = "INSERT INTO token (hash, kind, name, scope, created_at) VALUES (?1, 'token', ?2, ?3, '2026-01-01T00:00:00.000Z')";
        old.execute(sql, [&format!("{number:064}"), name, scope]).unwrap();
    }
    seal::renew(&mut old).unwrap();
    dir
}

#[track_caller]
fn assert_tokens_converted(dir: &Path) {
    let store = Store::open(dir).unwrap();
    assert_eq!(migrate::version(&store.reader().connection, dir).unwrap(), SUPPORTED);
    let tokens = store.reader().tokens(TokenKind::Token).unwrap();
    let found: Vec<(&str, Scope)> = tokens.iter().map(|token| (token.name.as_str(), token.scope)).collect();
    assert_eq!(found, [("looks", Scope::Read), ("asks", Scope::Infer), ("runs", Scope::Run)]);
    assert_eq!(check(dir).unwrap(), []);
}

#[test]
fn a_token_that_was_marked_has_the_scope_infer_and_the_seal_holds() {
    let dir = with_tokens();
    for _ in 0..2 {
        assert_tokens_converted(dir.path());
    }
}

fn assert_survives_kills(version: u32, old_state: impl Fn() -> TempDir, expect_upgraded: impl Fn(&Path)) {
    let mut killed = 0;
    for statement in 1.. {
        let dir = old_state();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "--nocapture", "tests::upgrade::child_that_migrates_until_it_dies"]);
        let output = command
            .env(DIR, dir.path())
            .env(FROM, version.to_string())
            .env(DIE_AT, statement.to_string())
            .output()
            .unwrap();
        if output.status.success() {
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(said.contains("migrated with"), "{said}");
            break;
        }
        killed += 1;
        expect_upgraded(dir.path());
    }
    assert!(killed > 10, "killed at {killed} statements only");
}
