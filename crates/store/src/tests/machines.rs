//! Rented machines: versions, the seal, and plans that nobody confirmed.

use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

use crate::rows::NewMachine;
use crate::{Store, check};

fn at(days: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * (20_000 + days))
}

fn store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

fn new<'a>(key: &'a str, digest: &'a str, days: i64) -> NewMachine<'a> {
    NewMachine { key, digest, provider: "p", state: "planned", at: at(days), event: "{}" }
}

#[test]
fn an_event_follows_the_version_that_its_writer_has_seen() {
    let (dir, mut store) = store();
    store.add_machine(&new("a", "d1", 0)).unwrap();
    assert!(store.add_machine_event("a", 1, ("intent", "{\"n\":2}"), at(0)).unwrap());
    assert!(!store.add_machine_event("a", 1, ("intent", "{\"n\":3}"), at(0)).unwrap(), "another process was faster");
    assert!(!store.add_machine_event("b", 1, ("intent", "{}"), at(0)).unwrap());
    let row = store.reader().machine_planned_as("d1").unwrap().unwrap();
    assert_eq!((row.key.as_str(), row.state.as_str(), row.version), ("a", "intent", 2));
    let events = store.reader().machine_events("a").unwrap();
    assert_eq!(events.iter().map(|event| event.event.as_str()).collect::<Vec<_>>(), ["{}", "{\"n\":2}"]);
    assert!(store.add_machine(&new("c", "d1", 0)).is_err(), "a digest launches once");
    assert_eq!(check(dir.path()).unwrap(), []);
}

#[test]
fn open_machines_are_listed_and_old_plans_go() {
    let (dir, mut store) = store();
    for (key, days) in [("old", 0), ("launched", 0), ("ended", 0)] {
        store.add_machine(&new(key, key, days)).unwrap();
    }
    store.add_machine_event("launched", 1, ("running", "{}"), at(0)).unwrap();
    store.add_machine_event("ended", 1, ("gone", "{}"), at(0)).unwrap();
    let keys = |store: &Store| {
        let mut keys: Vec<String> = store.reader().open_machines().unwrap().into_iter().map(|row| row.key).collect();
        keys.sort();
        keys.join(" ")
    };
    assert_eq!(keys(&store), "launched old");
    store.add_machine(&new("new", "new", 8)).unwrap();
    assert_eq!(keys(&store), "launched new", "what may be billed stays for ever");
    assert_eq!(store.reader().machines(10).unwrap().len(), 3);
    assert_eq!(store.reader().machine_events("old").unwrap(), []);
    assert_eq!(store.reader().machines_named("e").unwrap().len(), 1);
    assert_eq!(check(dir.path()).unwrap(), []);
}

#[test]
fn a_changed_event_is_damage() {
    for sql in
        ["UPDATE machine SET state = 'gone'", "UPDATE machine_event SET event = '[]'", "DELETE FROM machine_event"]
    {
        let (dir, mut store) = store();
        store.add_machine(&new("a", "d", 0)).unwrap();
        drop(store);
        let database = rusqlite::Connection::open(dir.path().join("stepwell.db")).unwrap();
        assert_eq!(database.execute(sql, []).unwrap(), 1);
        drop(database);
        let problems = check(dir.path()).unwrap();
        assert!(problems.iter().any(|problem| problem.what.contains("machines")), "{sql}: {problems:?}");
    }
}
