//! Several runs in one state directory: who drives them, who watches, and who takes over.

use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Finished, Sandbox, eventually, read, signal};

/// Writes `start` and `end` lines with its name into the ledger, and waits for the file `go` in between.
const GATED: &str = r#"
name = "gated"
[params]
fail = "no"
[[step]]
id = "a"
kind = "command"
retry = { maximum_attempts = 1 }
with.shell = "echo start >> HERE/ledger; while [ ! -e HERE/go ]; do sleep 0.02; done; echo end >> HERE/ledger; [ {{ params.fail }} = no ]"
"#;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let here = sandbox.dir.path().to_str().unwrap().to_owned();
    sandbox.write("w.toml", GATED.replace("HERE", &here));
    sandbox
}

/// Starts the binary and keeps both of its streams.
fn spawn(sandbox: &Sandbox, args: &[&str]) -> Child {
    sandbox.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn finished(process: Child) -> Finished {
    Finished::from(process.wait_with_output().unwrap())
}

fn ledger(sandbox: &Sandbox) -> String {
    read(&sandbox.path("ledger"))
}

fn started(sandbox: &Sandbox, times: usize) {
    eventually("the step runs", || ledger(sandbox).matches("start").count() == times);
}

fn status(sandbox: &Sandbox, run: &str) -> String {
    let shown = sandbox.stepwell(&["show", run, "--output", "json"]).ok().json();
    shown["run"]["status"].as_str().unwrap().to_owned()
}

fn submitted(sandbox: &Sandbox, runs: usize) {
    eventually("the run is submitted", || sandbox.query_count("run") == runs as u64);
}

/// Waits until a process that waits for the engine lock has looked at it several times.
fn settle() {
    std::thread::sleep(Duration::from_millis(800));
}

#[test]
fn next_to_a_worker_a_run_is_watched_and_reported_as_if_it_were_driven() {
    let sandbox = sandbox();
    sandbox.write("go", "");
    let alone = sandbox.stepwell(&["run", "w.toml"]).ok();
    let mut worker = sandbox.start(&["worker"]);
    eventually("the worker is there", || stepwell_store::EngineLock::holder(&sandbox.state()).is_some());
    let run = sandbox.stepwell(&["run", "w.toml", "--no-reuse"]).ok();
    let report = |run: &Finished| {
        let lines = run.stdout.lines().filter(|line| !line.starts_with("run ")).map(str::to_owned);
        lines.collect::<Vec<_>>()
    };
    assert_eq!(report(&run), report(&alone));
    assert!(run.stdout.contains("succeeded in"), "{}", run.stdout);
    run.says(&["a  started", "a  done", &worker.id().to_string(), "Ctrl-C stops watching", "stepwell pause"]);
    sandbox.stepwell(&["run", "w.toml", "--name", "bad", "-S", "fail=yes"]).exits(3).says(&["step `a`", "code 1"]);
    let lines = sandbox.stepwell(&["run", "w.toml", "--no-reuse", "--name", "json", "--output", "json"]).ok().stdout;
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!((kinds[0], kinds[1], *kinds.last().unwrap()), ("submitted", "watching", "finished"));
    assert!(kinds.iter().filter(|kind| **kind == "event").count() >= 4, "{kinds:?}");
    assert_eq!(lines[1]["engine"]["pid"], worker.id());
    worker.kill().unwrap();
    worker.wait().unwrap();
}

#[test]
fn watch_ends_with_the_summary_of_the_run() {
    let sandbox = sandbox();
    sandbox.write("go", "");
    let run = sandbox.stepwell(&["run", "w.toml"]).ok();
    let watch = sandbox.stepwell(&["watch", "last"]).ok();
    let (_, summary) = run.stdout.split_once("\nrun ").unwrap();
    assert!(watch.stdout.ends_with(summary), "{}\nhas no\n{summary}", watch.stdout);
    let last = sandbox.stepwell(&["watch", "last", "--output", "json"]).ok().json();
    assert_eq!(last["type"], "finished");
    sandbox.stepwell(&["run", "w.toml", "--name", "bad", "-S", "fail=yes"]).exits(3);
    sandbox.stepwell(&["watch", "bad"]).exits(3).says(&["step `a`", "code 1"]);
}

#[test]
fn next_to_a_foreground_run_another_one_starts_when_that_ends() {
    let sandbox = sandbox();
    let first = spawn(&sandbox, &["run", "w.toml", "--name", "one"]);
    started(&sandbox, 1);
    let second = spawn(&sandbox, &["run", "w.toml", "--name", "two", "--no-reuse"]);
    submitted(&sandbox, 2);
    settle();
    assert_eq!(ledger(&sandbox), "start\n", "the second run waits");
    let why = sandbox.stepwell(&["explain", "two"]).ok().stdout;
    assert!(why.contains(&format!("process {} drives only run `one`", first.id())), "{why}");
    sandbox.write("go", "");
    finished(first).ok();
    finished(second).ok().says(&["drives run `one`; run `two` starts here", "this process drives run"]);
    assert_eq!(ledger(&sandbox), "start\nend\nstart\nend\n");
}

#[test]
fn a_foreground_run_names_what_it_leaves_pending() {
    let sandbox = sandbox();
    let first = spawn(&sandbox, &["run", "w.toml", "--name", "one"]);
    started(&sandbox, 1);
    sandbox.stepwell(&["run", "w.toml", "--name", "two", "--detach"]).ok();
    sandbox.write("go", "");
    finished(first).ok().says(&["still pending here: two", "stepwell worker --exit-when-idle"]);
    sandbox.stepwell(&["worker", "--exit-when-idle"]).ok().says(&["two: a  done", "two: succeeded in"]);
}

#[test]
fn when_the_engine_is_killed_its_watchers_drive_their_runs_one_after_the_other() {
    let sandbox = sandbox();
    let mut first = sandbox.start(&["run", "w.toml", "--name", "one"]);
    started(&sandbox, 1);
    let watchers: Vec<Child> =
        ["two", "three"].map(|name| spawn(&sandbox, &["run", "w.toml", "--no-reuse", "--name", name])).into();
    submitted(&sandbox, 3);
    settle();
    first.kill().unwrap();
    first.wait().unwrap();
    sandbox.write("go", "");
    for watcher in watchers {
        let watcher = finished(watcher).ok();
        assert!(!watcher.stderr.contains("the engine that ran this attempt died"), "another run:\n{}", watcher.stderr);
    }
    assert_eq!(ledger(&sandbox), "start\nstart\nend\nstart\nend\n", "never two at a time");
    assert_eq!(status(&sandbox, "one"), "interrupted");
    sandbox.stepwell(&["resume", "one"]).ok();
    sandbox.stepwell(&["db", "check"]).ok();
}

#[test]
fn when_a_worker_is_killed_the_watcher_of_its_run_drives_it() {
    let sandbox = sandbox();
    let mut worker = sandbox.start(&["worker"]);
    eventually("the worker is there", || stepwell_store::EngineLock::holder(&sandbox.state()).is_some());
    let watcher = spawn(&sandbox, &["run", "w.toml"]);
    started(&sandbox, 1);
    settle();
    let pid = worker.id().to_string();
    worker.kill().unwrap();
    worker.wait().unwrap();
    started(&sandbox, 2);
    sandbox.write("go", "");
    let ended = format!("process {pid} has ended");
    finished(watcher).ok().says(&[&ended, "a  stopped: the engine that ran this attempt died", "a  started again"]);
    assert_eq!(ledger(&sandbox), "start\nstart\nend\n");
    assert_eq!(sandbox.query("SELECT attempts FROM step"), ["2"]);
    sandbox.stepwell(&["db", "check"]).ok();
}

#[test]
fn two_watchers_of_one_run_drive_it_once() {
    let sandbox = sandbox();
    let mut worker = sandbox.start(&["worker"]);
    eventually("the worker is there", || stepwell_store::EngineLock::holder(&sandbox.state()).is_some());
    let submit = ["run", "w.toml", "--idempotency-key", "k"];
    let watchers = [spawn(&sandbox, &submit), spawn(&sandbox, &submit)];
    started(&sandbox, 1);
    settle();
    worker.kill().unwrap();
    worker.wait().unwrap();
    started(&sandbox, 2);
    settle();
    sandbox.write("go", "");
    for watcher in watchers {
        let watcher = finished(watcher).ok();
        assert!(watcher.stdout.contains("succeeded in"), "{}", watcher.stdout);
    }
    assert_eq!(ledger(&sandbox), "start\nstart\nend\n");
    assert_eq!(sandbox.query_count("run"), 1);
}

#[test]
fn ctrl_c_stops_the_watching_and_not_the_run() {
    let sandbox = sandbox();
    let mut worker = sandbox.start(&["worker"]);
    eventually("the worker is there", || stepwell_store::EngineLock::holder(&sandbox.state()).is_some());
    let watcher = spawn(&sandbox, &["run", "w.toml"]);
    started(&sandbox, 1);
    settle();
    signal(watcher.id(), "INT");
    let running = format!("continues in process {}", worker.id());
    finished(watcher).exits(130).says(&["stopped watching", &running, "stepwell pause"]);
    sandbox.write("go", "");
    sandbox.stepwell(&["watch"]).ok();
    assert_eq!(ledger(&sandbox), "start\nend\n");
    worker.kill().unwrap();
    worker.wait().unwrap();
}

#[test]
fn ctrl_c_while_waiting_leaves_the_run_pending() {
    let sandbox = sandbox();
    let first = spawn(&sandbox, &["run", "w.toml", "--name", "one"]);
    started(&sandbox, 1);
    let second = spawn(&sandbox, &["run", "w.toml", "--name", "two", "--no-reuse"]);
    submitted(&sandbox, 2);
    settle();
    signal(second.id(), "TERM");
    finished(second).exits(130).says(&["run `two` is pending", "stepwell resume two"]);
    sandbox.write("go", "");
    finished(first).ok();
    sandbox.stepwell(&["resume", "two"]).ok();
}
