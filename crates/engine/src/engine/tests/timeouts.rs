//! Tests `timeout.schedule_to_close` of waiting steps, with an engine in this process.

use std::path::Path;
use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::json;

use crate::engine::tests::waiting::{assert_sound, decide, drive_until_idle, runs, shelf, status};
use crate::engine::tests::{open, options, submit_with};
use crate::inbox::Inbox;
use crate::*;
use stepwell_base::failure::{Failure, FailureKind};
use stepwell_base::ids::RunId;
use stepwell_run::event::Verdict;
use stepwell_run::request::Request;
use stepwell_run::status::RunStatus;
use stepwell_store::{EngineLock, Reader};

/// Longer than any of these engines needs, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);

/// Drives a run. An engine that sleeps forever fails the test.
#[track_caller]
fn drive_run(state_dir: &Path, run: RunId) -> Outcome {
    let (sender, receiver) = channel();
    let options = options(state_dir, Scope::Run(run));
    std::thread::spawn(move || sender.send(drive(options, &mut Quiet).unwrap()));
    receiver.recv_timeout(PATIENCE).expect("the engine has not woken up")
}

#[track_caller]
fn failure(state_dir: &Path, run: RunId) -> Failure {
    Reader::open(state_dir).unwrap().run(run).unwrap().failure.expect("the run has failed")
}

fn waiting(kind: &str, with: &str, limit: &str) -> String {
    format!(
        "name = \"w\"\n[[step]]\nid = \"a\"\nkind = \"{kind}\"\nwith = {with}\ntimeout.schedule_to_close = \"{limit}\"\n"
    )
}

const APPROVAL: (&str, &str) = ("approval", "{ prompt = \"continue?\" }");
const SIGNAL: (&str, &str) = ("signal", "{ name = \"go\" }");
const CHILD: (&str, &str) = ("workflow", "{ workflow = \"child.toml\", params = { ok = false } }");

#[test]
fn the_engine_wakes_up_when_the_time_of_a_waiting_step_is_over() {
    for (kind, with) in [APPROVAL, SIGNAL] {
        let folder = tempfile::tempdir().unwrap();
        let run = submit_with(folder.path(), &waiting(kind, with, "300ms"), &shelf());
        assert_eq!(drive_run(folder.path(), run), Outcome::Failed);
        assert_eq!(failure(folder.path(), run).kind, FailureKind::ScheduleToClose);
        assert_sound(folder.path());
    }
}

#[test]
fn a_child_run_is_canceled_with_the_step_that_waits_for_it_and_a_retry_starts_another() {
    let folder = tempfile::tempdir().unwrap();
    let run = submit_with(folder.path(), &waiting(CHILD.0, CHILD.1, "2s"), &shelf());
    assert_eq!(drive_run(folder.path(), run), Outcome::Failed);
    assert_eq!(failure(folder.path(), run).kind, FailureKind::ScheduleToClose);
    let retry = Request::Retry { step: None };
    assert_eq!(ask(folder.path(), run, &retry).unwrap(), Asked::Done);
    assert_eq!(drive_run(folder.path(), run), Outcome::Failed);
    let children = runs(folder.path()).into_iter().filter(|row| row.parent() == Some(run));
    let statuses: Vec<RunStatus> = children.map(|row| row.stored_status).collect();
    assert_eq!(statuses, [RunStatus::Canceled, RunStatus::Canceled]);
    assert_sound(folder.path());
}

#[test]
fn the_time_goes_on_without_an_engine_and_late_answers_are_refused() {
    for (kind, with) in [APPROVAL, SIGNAL, CHILD] {
        let folder = tempfile::tempdir().unwrap();
        let run = submit_with(folder.path(), &waiting(kind, with, "1s"), &shelf());
        assert_eq!(drive_until_idle(folder.path()), Outcome::Idle);
        std::thread::sleep(Duration::from_secs(1));
        if kind == APPROVAL.0 {
            let asked = ask(folder.path(), run, &decide("a", Verdict::Approved)).unwrap();
            assert!(matches!(&asked, Asked::Refused(why) if why.contains("the time of step `a` is over")), "{asked:?}");
        }
        if kind == SIGNAL.0 {
            let signal = Request::Signal { name: "go".to_owned(), payload: json!(1) };
            // The signal stays for a retry, like any signal that no step has taken.
            assert_eq!(ask(folder.path(), run, &signal).unwrap(), Asked::Done);
        } else {
            assert_eq!(drive_run(folder.path(), run), Outcome::Failed, "{kind}");
        }
        assert_eq!(failure(folder.path(), run).kind, FailureKind::ScheduleToClose, "{kind}");
        assert_eq!(status(folder.path(), run), RunStatus::Failed);
        assert_sound(folder.path());
    }
}

#[test]
fn until_then_the_engine_sleeps() {
    for (kind, with) in [APPROVAL, SIGNAL, CHILD] {
        let folder = tempfile::tempdir().unwrap();
        let run = submit_with(folder.path(), &waiting(kind, with, "1h"), &shelf());
        let lock = EngineLock::acquire(folder.path()).unwrap();
        let inbox = Inbox::open(folder.path()).unwrap();
        let mut quiet = Quiet;
        let mut engine = open(&lock, options(folder.path(), Scope::Run(run)), &mut quiet, &inbox);
        engine.recover().unwrap();
        // The child run first makes all the progress it can.
        loop {
            engine.schedule_steps().unwrap();
            engine.flush_all().unwrap();
            if engine.attempts.is_empty() && engine.runs.is_idle(engine.round_at) {
                break;
            }
            engine.listen(&inbox).unwrap();
        }
        let patience = engine.time_to_wait().expect("it wakes up by itself");
        let (least, most) = (Duration::from_secs(3000), Duration::from_secs(3600));
        assert!(least < patience && patience <= most, "{kind}: {patience:?}");
    }
}
