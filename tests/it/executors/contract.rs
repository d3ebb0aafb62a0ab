//! What the engine relies on, whatever runs an attempt.

use std::time::Duration;

use serde_json::json;
use stepwell_artifact::ArtifactStore;
use stepwell_base::failure::{FailureKind, ProgramExit};
use stepwell_base::protocol::{FromAttempt, ToAttempt};
use stepwell_engine::executors::{AttemptId, Executor, Report};

use super::bench::{Bench, id, messages, sites};
use crate::harness::{eventually, processes_with, read};

const HEARTBEAT: Duration = Duration::from_secs(30);

fn is_checkpoint(report: &Report) -> bool {
    matches!(report, Report::Message(FromAttempt::Checkpoint(_)))
}

fn done(messages: &[FromAttempt]) -> usize {
    messages.iter().filter(|message| matches!(message, FromAttempt::Done(_))).count()
}

/// Runs `test` on every executor that is here.
fn each(test: impl Fn(&Bench)) {
    for site in sites() {
        let bench = Bench::new(site);
        test(&bench);
        println!("{site}: passed");
    }
}

/// Processes of the attempt on this machine: hosts and nodes of the tests are this machine, too.
fn left(id: &AttemptId) -> usize {
    processes_with(&format!("STEPWELL_ATTEMPT_ID={id}")).len()
}

#[test]
fn outputs_and_log_arrive_byte_for_byte() {
    each(|bench| {
        let engine = bench.engine();
        let script =
            "i=0; while [ $i -lt 20000 ]; do echo \"line $i\"; i=$((i + 1)); done; echo data > $STEPWELL_OUTPUT_DIR/o";
        let request = bench.request(script, json!({ "outputs": { "o": "o" } }));
        let log = request.log_path();
        let mut attempt = engine.start(request, HEARTBEAT);
        let (messages, exit) = engine.hear_end(attempt.as_mut());
        let Some(FromAttempt::Done(outputs)) = messages.iter().find(|m| matches!(m, FromAttempt::Done(_))) else {
            panic!("{}: {messages:?}", bench.site)
        };
        let store = ArtifactStore::open(&bench.sandbox.state()).unwrap();
        assert_eq!(store.read(&outputs.artifacts["o"]).unwrap(), b"data\n");
        assert_eq!((exit.survivors, exit.out_of_memory), (vec![], false));
        let expected: String = (0..20_000).map(|i| format!("line {i}\n")).collect();
        assert!(read(&log) == expected, "{}: the log has {} bytes", bench.site, read(&log).len());
    });
}

#[test]
fn inputs_arrive_by_digest() {
    each(|bench| {
        let engine = bench.engine();
        let store = ArtifactStore::open(&bench.sandbox.state()).unwrap();
        let file = store.put_bytes(b"from here", "text/plain").unwrap();
        let tree = store.put_tree(&[("a/b".to_owned(), file)].into()).unwrap();
        let mut request = bench.request("", json!({ "outputs": { "o": "o" } }));
        let with = request.with.as_object_mut().unwrap();
        with.remove("shell");
        with.insert("argv".to_owned(), json!(["sh", "-c", "cat $0/a/b > $STEPWELL_OUTPUT_DIR/o", tree]));
        let mut attempt = engine.start(request, HEARTBEAT);
        let (messages, _) = engine.hear_end(attempt.as_mut());
        let Some(FromAttempt::Done(outputs)) = messages.iter().find(|m| matches!(m, FromAttempt::Done(_))) else {
            panic!("{}: {messages:?}", bench.site)
        };
        assert_eq!(store.read(&outputs.artifacts["o"]).unwrap(), b"from here");
    });
}

#[test]
fn a_silent_program_sends_heartbeats() {
    each(|bench| {
        let engine = bench.engine();
        let mut attempt = engine.start(bench.request("sleep 2.5", json!({})), Duration::from_millis(900));
        let (messages, _) = engine.hear_end(attempt.as_mut());
        let beats = messages.iter().filter(|message| **message == FromAttempt::Heartbeat).count();
        assert!(beats >= 4, "{}: {beats} heartbeats in 2.5 s", bench.site);
    });
}

const TWO_CHECKPOINTS: &str = "
cd \"$STEPWELL_CHECKPOINT_DIR\"
for n in 1 2; do
  mkdir -p next && echo $n > next/n
  echo \"{\\\"last_step\\\": $n}\" > new && mv new next.ready
  while [ -e next.ready ]; do sleep 0.02; done
  echo $n >> LEDGER
done";

#[test]
fn a_checkpoint_waits_for_its_acknowledgement() {
    each(|bench| {
        let (engine, ledger) = (bench.engine(), bench.path("ledger"));
        let request = bench.request(&TWO_CHECKPOINTS.replace("LEDGER", &ledger), json!({}));
        let mut attempt = engine.start(request, HEARTBEAT);
        for n in 1..=2_u64 {
            let reports = messages(engine.hear("a checkpoint", is_checkpoint));
            let Some(FromAttempt::Checkpoint(checkpoint)) = reports.last() else { panic!() };
            assert_eq!(checkpoint.last_step, Some(n));
            let store = ArtifactStore::open(&bench.sandbox.state()).unwrap();
            store.verify(checkpoint.artifact.as_ref().unwrap()).unwrap();
            std::thread::sleep(Duration::from_millis(300));
            assert_eq!(read(ledger.as_ref()).lines().count() as u64, n - 1, "{}: it went on too early", bench.site);
            attempt.send(&ToAttempt::CheckpointCommitted);
        }
        let (messages, _) = engine.hear_end(attempt.as_mut());
        assert_eq!((done(&messages), read(ledger.as_ref()).as_str()), (1, "1\n2\n"), "{}", bench.site);
    });
}

#[test]
fn an_attempt_that_outlives_its_engine_is_adopted_and_runs_once() {
    for site in sites().into_iter().filter(|site| *site != "local") {
        let bench = Bench::new(site);
        let ledger = bench.path("ledger");
        let script = format!("echo started >> {ledger}\n{}", TWO_CHECKPOINTS.replace("LEDGER", &ledger));
        let request = bench.request(&script, json!({ "outputs": { } }));
        let id = id(&request);
        // The first engine dies before it knows what became of its submission.
        drop(bench.engine().start(request, HEARTBEAT));
        let engine = bench.engine();
        let mut attempt = engine.placed.adopt(&id).unwrap().expect("it was given to the system");
        let heard = engine.hear("a checkpoint", is_checkpoint).len();
        attempt.send(&ToAttempt::CheckpointCommitted);
        attempt.settled(heard as u64);
        eventually("the program continues", || read(ledger.as_ref()).contains('1'));
        // The second one dies between the commit and the acknowledgement of the second checkpoint.
        let heard = heard + engine.hear("a checkpoint", is_checkpoint).len();
        attempt.settled(heard as u64);
        drop((attempt, engine));
        let engine = bench.engine();
        let mut attempt = engine.placed.adopt(&id).unwrap().unwrap();
        let (messages, _) = engine.hear_end(attempt.as_mut());
        let again = messages.iter().filter(|message| matches!(message, FromAttempt::Checkpoint(_))).count();
        assert_eq!((done(&messages), again), (1, 0), "{site}: {messages:?}");
        assert_eq!(read(ledger.as_ref()), "started\n1\n2\n", "{site}");
        assert_eq!(left(&id), 0, "{site}");
        println!("{site}: passed");
    }
}

#[test]
fn an_attempt_is_ended_to_its_last_process() {
    each(|bench| {
        let engine = bench.engine();
        let ledger = bench.path("ledger");
        let script =
            format!("trap '' TERM; (trap '' TERM; setsid sleep 600) & echo on >> {ledger}; sleep 600; sleep 600");
        let request = bench.request(&script, json!({}));
        let id = id(&request);
        let mut attempt = engine.start(request, HEARTBEAT);
        eventually("the program runs", || read(ledger.as_ref()).contains("on"));
        assert!(left(&id) > 0, "{}", bench.site);
        attempt.terminate();
        std::thread::sleep(Duration::from_millis(300));
        attempt.kill();
        let (messages, exit) = engine.hear_end(attempt.as_mut());
        assert_eq!((done(&messages), exit.survivors), (0, vec![]), "{}", bench.site);
        assert!(!exit.out_of_memory, "{}: a kill is no lack of memory", bench.site);
        assert_eq!(left(&id), 0, "{}", bench.site);
    });
}

#[test]
fn exit_137_is_a_failure_and_no_lack_of_memory() {
    each(|bench| {
        let engine = bench.engine();
        let mut attempt = engine.start(bench.request("exit 137", json!({})), HEARTBEAT);
        let (messages, exit) = engine.hear_end(attempt.as_mut());
        let failure = messages.iter().find_map(|message| match message {
            FromAttempt::Failed(failure) => Some(failure),
            _ => None,
        });
        let failure = failure.unwrap_or_else(|| panic!("{}: {messages:?}", bench.site));
        assert_eq!((failure.exit, exit.out_of_memory), (Some(ProgramExit::Code(137)), false), "{}", bench.site);
        assert_ne!(failure.kind, FailureKind::OutOfMemory, "{}", bench.site);
    });
}

#[test]
fn an_interrupted_attempt_says_so() {
    each(|bench| {
        let engine = bench.engine();
        let request = bench.request("sleep 600", json!({}));
        let id = id(&request);
        let mut attempt = engine.start(request, HEARTBEAT);
        eventually("the program runs", || left(&id) > 1);
        attempt.send(&ToAttempt::Interrupt);
        let (messages, exit) = engine.hear_end(attempt.as_mut());
        assert_eq!(messages.last(), Some(&FromAttempt::Interrupted), "{}", bench.site);
        assert_eq!((exit.survivors, left(&id)), (vec![], 0), "{}", bench.site);
    });
}
