//! SIGKILL, cancel and a second engine with real processes (rows E8, E16). `engine.rs` has more.

use crate::harness::{Sandbox, eventually};
#[cfg(target_os = "linux")]
use crate::harness::{children, processes_with, signal};

/// A quick step, and one that takes SECONDS and has a child process; both write to a ledger.
const COUNTER: &str = r#"
name = "counter"
[[step]]
id = "first"
kind = "command"
with = { shell = "echo first >> LEDGER; echo 1 > \"$STEPWELL_OUTPUT_DIR/out\"", outputs = { out = "out" } }
[[step]]
id = "slow"
kind = "command"
needs = ["first"]
timeout = { heartbeat = "3s" }
with = { shell = "echo started >> LEDGER; sleep 300 & sleep SECONDS; kill $!; echo slow > \"$STEPWELL_OUTPUT_DIR/out\"; echo finished >> LEDGER", outputs = { out = "out" } }
"#;

fn counter(seconds: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let ledger = sandbox.path("ledger");
    sandbox.write("counter.toml", COUNTER.replace("LEDGER", ledger.to_str().unwrap()).replace("SECONDS", seconds));
    sandbox
}

fn ledger(sandbox: &Sandbox) -> String {
    crate::harness::read(&sandbox.path("ledger"))
}

#[cfg(target_os = "linux")]
fn run_id(sandbox: &Sandbox) -> String {
    sandbox.show()["run"]["id"].as_str().unwrap().to_owned()
}

#[cfg(target_os = "linux")]
#[track_caller]
fn assert_no_orphans(sandbox: &Sandbox) {
    let mark = format!("STEPWELL_ATTEMPT_ID={}/", run_id(sandbox));
    eventually("every process of the run is gone", || processes_with(&mark).is_empty());
}

#[cfg(target_os = "linux")]
#[test]
fn a_killed_engine_leaves_no_orphan_and_resume_repeats_no_committed_step() {
    let sandbox = counter("1");
    let mut engine = sandbox.start(&["run", "counter.toml"]);
    eventually("the slow step runs", || ledger(&sandbox).contains("started"));
    engine.kill().unwrap();
    engine.wait().unwrap();
    assert_eq!(sandbox.show()["run"]["status"], "interrupted", "no row stays running after a crash");
    assert_no_orphans(&sandbox);
    sandbox.stepwell(&["resume", "last"]).ok();
    assert_eq!(ledger(&sandbox), "first\nstarted\nstarted\nfinished\n");
    assert_eq!(sandbox.show()["run"]["status"], "succeeded");
    sandbox.stepwell(&["db", "check"]).ok();
}

#[cfg(target_os = "linux")]
#[test]
fn a_killed_worker_is_replaced_and_its_grandchildren_die() {
    let sandbox = counter("1");
    let mut engine = sandbox.start(&["run", "counter.toml"]);
    eventually("the slow step runs", || ledger(&sandbox).contains("started"));
    for worker in children(engine.id()) {
        signal(worker, "KILL");
    }
    assert!(engine.wait().unwrap().success());
    assert_eq!(ledger(&sandbox), "first\nstarted\nstarted\nfinished\n");
    assert_no_orphans(&sandbox);
}

#[cfg(target_os = "linux")]
#[test]
fn cancel_reaches_the_whole_process_group() {
    let sandbox = counter("60");
    let mut engine = sandbox.start(&["run", "counter.toml"]);
    eventually("the slow step runs", || ledger(&sandbox).contains("started"));
    sandbox.stepwell(&["cancel", "last"]).ok();
    assert_eq!(engine.wait().unwrap().code(), Some(5));
    assert_eq!(sandbox.show()["run"]["status"], "canceled");
    assert_no_orphans(&sandbox);
    sandbox.stepwell(&["resume", "last"]).exits(5);
}

#[test]
fn a_second_worker_is_refused_and_told_who_holds_the_state() {
    let sandbox = counter("3");
    let mut engine = sandbox.start(&["run", "counter.toml"]);
    eventually("the slow step runs", || ledger(&sandbox).contains("started"));
    let pid = engine.id().to_string();
    sandbox.stepwell(&["worker"]).exits(7).says(&[&pid, "hint:"]);
    assert!(engine.wait().unwrap().success());
}

#[test]
fn a_failing_command_is_retried_then_the_run_fails_with_its_last_lines() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "poison.toml",
        "name = \"poison\"\n[[step]]\nid = \"p\"\nkind = \"command\"\nretry = { maximum_attempts = 2, initial_interval = 0.05 }\nwith = { shell = \"echo the cause; exit 4\" }\n[[step]]\nid = \"after\"\nkind = \"noop\"\nneeds = [\"p\"]\n",
    );
    sandbox.stepwell(&["run", "poison.toml"]).exits(3).says(&["exit", "4", "the cause"]);
    let show = sandbox.show();
    assert_eq!(show["steps"][0]["attempts"], 2);
    assert_eq!(show["steps"][0]["status"], "failed");
    assert!(sandbox.stepwell(&["logs", "last", "p"]).ok().stdout.contains("the cause"));
}

#[test]
fn a_command_resumes_from_its_own_checkpoint() {
    let sandbox = Sandbox::new();
    let script = include_str!("../fixtures/count_with_checkpoints.sh");
    let script = sandbox.write("count.sh", script);
    sandbox.write(
        "count.toml",
        format!(
            "name = \"count\"\n[[step]]\nid = \"count\"\nkind = \"command\"\nwith = {{ argv = [\"sh\", \"{}\"], env = {{ LEDGER = \"{}\" }}, outputs = {{ total = \"total\" }} }}\n",
            script.display(),
            sandbox.path("ledger").display()
        ),
    );
    let counted = || -> u64 {
        if sandbox.query_count("checkpoint") == 0 {
            return 0;
        }
        sandbox.query("SELECT max(last_step) FROM checkpoint")[0].parse().unwrap_or(0)
    };
    let mut kills = 0;
    let mut engine = sandbox.start(&["run", "count.toml"]);
    for goal in [5, 12, 20, 28] {
        eventually("more checkpoints", || counted() >= goal);
        engine.kill().unwrap();
        engine.wait().unwrap();
        kills += 1;
        engine = sandbox.start(&["resume", "last"]);
    }
    assert!(engine.wait().unwrap().success());
    let total = sandbox.stepwell(&["artifact", "show", "last/count/total"]).ok().stdout;
    assert!(total.trim().ends_with("820"), "1 + ... + 40 = 820: {total}");
    let repeated = ledger(&sandbox).lines().count() - 40;
    assert!(repeated <= 2 * kills, "{repeated} counts were repeated after {kills} kills");
}

/// The process leaves its group and parent; only the mark in its environment ties it to its attempt.
#[cfg(target_os = "linux")]
#[test]
fn a_process_that_left_its_group_is_ended_by_the_next_engine() {
    let sandbox = Sandbox::new();
    let (pid_file, go) = (sandbox.path("pid"), sandbox.path("go"));
    sandbox.write(
        "daemon.toml",
        format!(
            "name = \"daemon\"\n[[step]]\nid = \"d\"\nkind = \"command\"\nwith.shell = \"\"\"\n[ -e {go} ] && exit 0\n(setsid sh -c 'sleep 600 & echo $! > {pid}.new; mv {pid}.new {pid}' &)\nsleep 600\n\"\"\"\n",
            pid = pid_file.display(),
            go = go.display()
        ),
    );
    let mut engine = sandbox.start(&["run", "daemon.toml"]);
    eventually("the daemon runs", || pid_file.exists());
    crate::harness::kill_with_workers(&mut engine);
    let daemon: u32 = crate::harness::read(&pid_file).trim().parse().unwrap();
    let mark = format!("STEPWELL_ATTEMPT_ID={}/", run_id(&sandbox));
    assert!(processes_with(&mark).contains(&daemon), "it has outlived its engine and its worker");
    sandbox.write("go", "");
    sandbox.stepwell(&["resume", "last"]).ok();
    let left = processes_with(&mark);
    if !left.is_empty() {
        signal(daemon, "KILL");
    }
    assert!(left.is_empty(), "{left:?} outlived the recovery");
}

/// The worker is frozen for twice its lease, then thawed.
#[cfg(target_os = "linux")]
#[test]
fn a_thawed_worker_changes_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "zombie.toml",
        format!(
            "name = \"zombie\"\n[[step]]\nid = \"z\"\nkind = \"command\"\ntimeout = {{ heartbeat = \"1s\" }}\nretry = {{ initial_interval = \"1ms\" }}\nwith = {{ shell = \"echo $STEPWELL_ATTEMPT >> {}; sleep 2; echo $STEPWELL_ATTEMPT > $STEPWELL_OUTPUT_DIR/n\", outputs = {{ n = \"n\" }} }}\n",
            sandbox.path("ledger").display()
        ),
    );
    let mut engine = sandbox.start(&["run", "zombie.toml"]);
    eventually("the first attempt runs", || ledger(&sandbox) == "1\n");
    let frozen = children(engine.id());
    for worker in &frozen {
        signal(*worker, "STOP");
    }
    std::thread::sleep(std::time::Duration::from_secs(2));
    for worker in &frozen {
        // The engine may have killed it already.
        let _ = std::process::Command::new("kill").args(["-CONT", &worker.to_string()]).output();
    }
    assert!(engine.wait().unwrap().success());
    assert_eq!(sandbox.query("SELECT count(*) FROM event WHERE kind = 'step_succeeded'"), ["1"]);
    let newest = sandbox.query("SELECT max(attempt) FROM attempt WHERE status = 'succeeded'");
    assert_eq!(newest, sandbox.query("SELECT max(attempt) FROM attempt"), "only the newest attempt succeeds");
    let content = sandbox.stepwell(&["artifact", "show", "last/z/n"]).ok().stdout;
    assert!(content.trim().ends_with(&newest[0]), "{content} is not of attempt {newest:?}");
    sandbox.stepwell(&["db", "check"]).ok();
    assert_no_orphans(&sandbox);
}

#[test]
fn a_pause_that_ends_while_the_engine_is_busy_is_not_slept_through() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "w.toml",
        "name = \"w\"\n[[step]]\nid = \"a\"\nkind = \"command\"\n\
         retry = { maximum_attempts = 100, initial_interval = \"1ms\", backoff_coefficient = 1.0 }\n\
         with = { shell = \"test $STEPWELL_ATTEMPT -ge 80\" }\n",
    );
    let mut engine = sandbox.start(&["run", "w.toml"]);
    eventually("the 80th attempt has succeeded", || engine.try_wait().unwrap().is_some());
    assert_eq!(sandbox.show()["steps"][0]["attempts"], 80);
}
