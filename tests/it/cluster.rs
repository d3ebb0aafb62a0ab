//! What batch systems do: signal before the end of the time, kill, and start the same command again.

use crate::harness::{Sandbox, children, eventually, read, signal};

fn counter() -> Sandbox {
    let sandbox = Sandbox::new();
    let script = sandbox.write("count.sh", include_str!("../fixtures/count_with_checkpoints.sh"));
    let ledger = sandbox.path("ledger");
    sandbox.write(
        "w.toml",
        format!(
            "name = \"w\"\n[[step]]\nid = \"count\"\nkind = \"command\"\nwith = {{ argv = [\"sh\", \"{}\"], \
             env = {{ LEDGER = \"{}\" }}, outputs = {{ total = \"total\" }} }}\n",
            script.display(),
            ledger.display()
        ),
    );
    sandbox
}

const SUBMIT: [&str; 4] = ["run", "w.toml", "--idempotency-key", "job-17"];

fn has_checkpoint(sandbox: &Sandbox) -> bool {
    let newest = || sandbox.query("SELECT max(last_step) FROM checkpoint")[0].parse::<u64>().unwrap_or(0);
    sandbox.query_count("checkpoint") > 0 && newest() > 3
}

/// The numbers that were counted; each more than once only if a checkpoint was lost.
fn counted(sandbox: &Sandbox) -> usize {
    read(&sandbox.path("ledger")).lines().count()
}

#[test]
fn sigusr1_stops_a_run_at_a_checkpoint() {
    let sandbox = counter();
    let mut engine = sandbox.start(&SUBMIT);
    eventually("a checkpoint", || has_checkpoint(&sandbox));
    signal(engine.id(), "USR1");
    assert_eq!(engine.wait().unwrap().code(), Some(130));
    assert_eq!(sandbox.show()["run"]["status"], "interrupted");
    let why = sandbox.query("SELECT payload FROM event WHERE kind = 'run_interrupted'");
    assert!(why[0].contains("SIGUSR1"), "{why:?}");
    sandbox.stepwell(&SUBMIT).ok();
    assert!(counted(&sandbox) <= 42, "it continued from the checkpoint: {}", counted(&sandbox));
}

#[cfg(target_os = "linux")]
#[test]
fn sigusr1_to_every_process_stops_at_a_checkpoint_too() {
    let sandbox = counter();
    let mut engine = sandbox.start(&SUBMIT);
    eventually("a checkpoint", || has_checkpoint(&sandbox));
    for worker in children(engine.id()) {
        signal(worker, "USR1");
    }
    signal(engine.id(), "USR1");
    assert_eq!(engine.wait().unwrap().code(), Some(130));
    assert_eq!(sandbox.query("SELECT retries_used FROM step"), ["0"]);
    sandbox.stepwell(&["resume"]).ok();
}

#[test]
fn the_same_command_again_continues_a_run_whose_engine_was_killed() {
    let sandbox = counter();
    let mut engine = sandbox.start(&SUBMIT);
    eventually("a checkpoint", || has_checkpoint(&sandbox));
    engine.kill().unwrap();
    engine.wait().unwrap();
    let again = sandbox.stepwell(&SUBMIT).ok();
    assert!(again.stdout.contains("was submitted before") && again.stdout.contains("succeeded in"), "{}", again.stdout);
    let after = counted(&sandbox);
    assert!(after <= 44, "it continued from the checkpoint: {after}");
    let third = sandbox.stepwell(&SUBMIT).ok();
    assert!(third.stdout.contains("succeeded in"), "the summary again: {}", third.stdout);
    assert_eq!((counted(&sandbox), sandbox.query_count("run")), (after, 1));
}

#[test]
fn the_same_command_again_does_not_repeat_a_run_that_failed() {
    let sandbox = Sandbox::new();
    let step = "[[step]]\nid = \"a\"\nkind = \"command\"\nretry = { maximum_attempts = 1 }\nwith.shell = \"exit 4\"\n";
    sandbox.write("w.toml", format!("name = \"w\"\n{step}"));
    sandbox.stepwell(&SUBMIT).exits(3).says(&["code 4"]);
    sandbox.stepwell(&SUBMIT).exits(3).says(&["code 4"]);
    assert_eq!(sandbox.query("SELECT attempts FROM step"), ["1"]);
    sandbox.stepwell(&["retry"]).exits(3);
    assert_eq!(sandbox.query("SELECT attempts FROM step"), ["2"]);
}
