//! Cursors of receivers, and their messages.

use super::fixture::*;
use crate::{
    After, Attempted, BatchEnding, BatchOutcome, BatchRow, MessageCounts, MessageOutcome, NewMessage, Store, check,
};

fn message(id: &str, second: i64) -> NewMessage {
    let at = at(second);
    NewMessage {
        id: id.to_owned(),
        kind: "run.started",
        run: None,
        body: "{}".to_owned(),
        created_at: at,
        first_at: at,
    }
}

fn attempted(second: i64, after: After) -> Attempted {
    let delivered = after == After::Ended(MessageOutcome::Delivered);
    Attempted {
        at: at(second),
        status: Some(if delivered { 200 } else { 500 }),
        error: (!delivered).then(|| "no".to_owned()),
        after,
    }
}

#[test]
fn a_cursor_starts_at_the_end_and_moves_with_its_messages_or_not_at_all() {
    let (mut engine, run) = Engine::with_run();
    engine.commit(run, [started("a", 1)]).unwrap();
    let mut sender = Store::open(engine.path()).unwrap();
    let start = sender.event_cursor("hook", "run.*").unwrap();
    assert_eq!(start, engine.store.reader().newest_event().unwrap());
    engine.commit(run, [succeeded("a", 1)]).unwrap();
    assert_eq!(sender.event_cursor("hook", "run.*").unwrap(), start, "a receiver that is known keeps its place");
    assert!(sender.advance_cursor("hook", (start, start + 1), &[message("m1", 5), message("m2", 5)]).unwrap());
    // Another process was faster.
    assert!(!sender.advance_cursor("hook", (start, start + 1), &[message("m3", 5)]).unwrap());
    // A message that is there already stays as it is.
    assert!(sender.advance_cursor("hook", (start + 1, start + 2), &[message("m1", 9)]).unwrap());
    let ids: Vec<String> = sender.reader().messages("hook", 10).unwrap().into_iter().map(|row| row.id).collect();
    assert_eq!(ids, ["m2", "m1"]);
    assert_eq!(sender.reader().messages("other", 10).unwrap(), []);
    let events = sender.reader().hashed_events(start, 10).unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].hash.len(), 64);
    assert_eq!(check(engine.path()).unwrap(), []);
}

/// Else the events in between would be told to nobody.
#[test]
fn a_cursor_whose_messages_cannot_be_stored_stays() {
    let mut engine = Engine::start();
    let start = engine.store.event_cursor("hook", "run.*").unwrap();
    let database = rusqlite::Connection::open(engine.path().join("stepwell.db")).unwrap();
    let trigger = "CREATE TRIGGER refuse BEFORE INSERT ON webhook_message WHEN NEW.id = 'm2'
                   BEGIN SELECT RAISE(ABORT, 'refused'); END";
    database.execute_batch(trigger).unwrap();
    let messages = [message("m1", 5), message("m2", 5)];
    assert!(engine.store.advance_cursor("hook", (start, start + 7), &messages).is_err());
    assert_eq!(engine.store.event_cursor("hook", "run.*").unwrap(), start);
    assert_eq!(engine.store.reader().messages("hook", 10).unwrap(), []);
    database.execute_batch("DROP TRIGGER refuse").unwrap();
    assert!(engine.store.advance_cursor("hook", (start, start + 7), &messages).unwrap());
    assert_eq!(engine.store.reader().messages("hook", 10).unwrap().len(), 2);
    assert_eq!(check(engine.path()).unwrap(), []);
}

#[test]
fn messages_are_sent_by_their_time_until_they_end() {
    let mut engine = Engine::start();
    let store = &mut engine.store;
    let start = store.event_cursor("hook", "run.*").unwrap();
    store.advance_cursor("hook", (start, start), &[message("m1", 5), message("m2", 6)]).unwrap();
    let next = |store: &Store| store.reader().next_message("hook").unwrap().map(|row| (row.id, row.attempts));
    assert_eq!(next(store), Some(("m1".to_owned(), 0)));
    let number = store.reader().messages_named("m1").unwrap()[0].number;
    store.note_attempt(number, &attempted(7, After::At(at(60)))).unwrap();
    assert_eq!(next(store), Some(("m2".to_owned(), 0)));
    let other = store.reader().messages_named("m2").unwrap()[0].number;
    store.note_attempt(other, &attempted(8, After::Ended(MessageOutcome::Delivered))).unwrap();
    assert_eq!(next(store), Some(("m1".to_owned(), 1)));
    store.note_attempt(number, &attempted(60, After::Ended(MessageOutcome::GivenUp))).unwrap();
    assert_eq!(next(store), None);
    assert_eq!(store.reader().message_counts("hook").unwrap(), MessageCounts { open: 0, delivered: 1, given_up: 1 });
    assert_eq!(store.reader().given_up("hook", at(59), 10).unwrap().len(), 1);
    assert_eq!(store.reader().given_up("hook", at(60), 10).unwrap().len(), 0);
    assert_eq!(store.reader().last_attempt("hook").unwrap().unwrap().id, "m1");
    // What has arrived stays so, even if a late attempt fails.
    store.note_attempt(other, &attempted(70, After::Ended(MessageOutcome::GivenUp))).unwrap();
    assert_eq!(store.reader().message_counts("hook").unwrap().delivered, 1);
    assert_eq!(check(engine.path()).unwrap(), []);
}

#[test]
fn ended_messages_are_removed_after_their_time() {
    let mut engine = Engine::start();
    let store = &mut engine.store;
    let start = store.event_cursor("hook", "run.*").unwrap();
    let day = 24 * 3600;
    store.advance_cursor("hook", (start, start), &[message("m1", 1), message("m2", 1), message("m3", 1)]).unwrap();
    for (id, outcome) in [("m1", MessageOutcome::Delivered), ("m2", MessageOutcome::GivenUp)] {
        let number = store.reader().messages_named(id).unwrap()[0].number;
        store.note_attempt(number, &attempted(2, After::Ended(outcome))).unwrap();
    }
    let left = |store: &mut Store, id: &str, days: i64| {
        store.advance_cursor("hook", (start, start), &[message(id, days * day)]).unwrap();
        let rows = store.reader().messages("hook", 10).unwrap();
        rows.into_iter().map(|row| row.id).rev().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(left(store, "m4", 6), "m1 m2 m3 m4");
    assert_eq!(left(store, "m5", 8), "m2 m3 m4 m5");
    assert_eq!(left(store, "m6", 91), "m3 m4 m5 m6", "what is still to be sent stays");
    assert_eq!(check(engine.path()).unwrap(), []);
}

#[test]
fn a_changed_message_is_damage() {
    let mut engine = Engine::start();
    let start = engine.store.event_cursor("hook", "run.*").unwrap();
    engine.store.advance_cursor("hook", (start, start), &[message("m1", 1)]).unwrap();
    let dir = engine.stop();
    let database = rusqlite::Connection::open(dir.path().join("stepwell.db")).unwrap();
    assert_eq!(database.execute("UPDATE webhook_message SET body = '{\"type\":1}'", []).unwrap(), 1);
    drop(database);
    assert!(check(dir.path()).unwrap().iter().any(|problem| problem.what.contains("messages")));
}

#[test]
fn the_end_of_a_batch_is_told_once_to_those_who_want_it() {
    let mut engine = Engine::start();
    let store = &mut engine.store;
    for (name, wants) in [("all", "*"), ("batches", "run.failed,batch.*"), ("runs", "run.*"), ("traces", "")] {
        store.event_cursor(name, wants).unwrap();
    }
    let id = format!("batch_{}", "a".repeat(64));
    let batch = BatchRow {
        id: id.clone(),
        created_at: at(1),
        endpoint: "/v1/completions".to_owned(),
        completion_window: "24h".to_owned(),
        expires_at: at(9),
        input_file: "file".to_owned(),
        input: artifact("input"),
        metadata: Default::default(),
        output_expires_after: None,
        checked: None,
        cancelling_at: None,
        ending: None,
    };
    store.add_batch(&batch).unwrap();
    let ending = |outcome| BatchEnding {
        outcome,
        at: at(5),
        finalizing_at: None,
        in_progress_at: None,
        output_file: None,
        error_file: None,
        counts: Default::default(),
        usage: None,
        errors: Vec::new(),
    };
    assert!(store.end_batch(&id, &ending(BatchOutcome::Expired), &[]).unwrap());
    assert!(!store.end_batch(&id, &ending(BatchOutcome::Completed), &[]).unwrap());
    let told = |name: &str| store.reader().messages(name, 10).unwrap();
    let bodies: Vec<String> = ["all", "batches"].iter().flat_map(|name| told(name)).map(|row| row.body).collect();
    assert_eq!(bodies.len(), 2);
    assert_eq!(bodies[0], bodies[1]);
    let body: serde_json::Value = serde_json::from_str(&bodies[0]).unwrap();
    assert_eq!(
        (&body["object"], &body["type"], &body["data"]["id"]),
        (&"event".into(), &"batch.expired".into(), &id.as_str().into())
    );
    assert_eq!(body["created_at"], at(5).as_second());
    assert!(told("runs").is_empty() && told("traces").is_empty());
    assert_eq!(check(engine.path()).unwrap(), []);
}
