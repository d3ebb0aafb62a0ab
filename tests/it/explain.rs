//! `explain` gives the right reason. One test per group of codes; every code has a test.

use std::collections::BTreeSet;
use std::path::Path;

use crate::harness::{Sandbox, eventually, read};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Codes that these tests cannot produce, with the reason.
const ELSEWHERE: [(&str, &str); 3] = [
    ("decided", "told::what_a_person_wants_to_know_at_the_end_is_there"),
    ("out_of_memory", "needs a control group: survival::a_step_that_runs_out_of_memory_is_not_tried_again"),
    ("no_space", "of attempts only, which are released: a step does not fail with it"),
];

fn sandbox(workflow: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let here = sandbox.dir.path().to_str().unwrap().to_owned();
    sandbox.write("w.toml", workflow.replace("HERE", &here));
    sandbox
}

fn step(id: &str, kind: &str, more: &str) -> String {
    format!("[[step]]\nid = \"{id}\"\nkind = \"{kind}\"\n{more}\n")
}

/// Asserts that `explain` gives this code for the step.
#[track_caller]
fn explains(sandbox: &Sandbox, run: &str, step: &str, code: &str) {
    let value = sandbox.stepwell(&["explain", run, step, "--output", "json"]).ok().json();
    let details = value["steps"][0]["details"].as_array().unwrap().clone();
    assert!(details.iter().any(|reason| reason["code"] == code), "`{code}` is not in {details:?}");
}

fn status(sandbox: &Sandbox, step: &str) -> String {
    sandbox.query(&format!("SELECT status FROM step WHERE id = '{step}' ORDER BY run DESC LIMIT 1")).concat()
}

#[track_caller]
fn becomes(sandbox: &Sandbox, step: &str, wanted: &str) {
    eventually(wanted, || sandbox.query_count("step") > 0 && status(sandbox, step) == wanted);
}

/// All codes: the arguments of `Reason::new` in the source, and the kinds of failures.
fn codes() -> BTreeSet<String> {
    let folder = Path::new(ROOT).join("src/verbs/look/explain");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> = files.chain([Path::new(ROOT).join("src/verbs/look/explain.rs")]).collect();
    let mut codes = BTreeSet::new();
    for file in files {
        for rest in read(&file).split("Reason::new(").skip(1) {
            if let Some(literal) = rest.trim_start().strip_prefix('"') {
                codes.insert(literal.split('"').next().unwrap().to_owned());
            }
        }
    }
    for line in read(&Path::new(ROOT).join("crates/base/src/failure.rs")).lines() {
        if let Some((_, code)) = line.trim().strip_prefix("FailureKind::").and_then(|line| line.split_once(" => \"")) {
            codes.insert(code.trim_end_matches(['"', ',']).to_owned());
        }
    }
    codes
}

#[test]
fn every_reason_has_a_test() {
    let codes = codes();
    assert!(codes.len() > 25 && codes.contains("backoff") && codes.contains("lease_lost"), "{codes:?}");
    let tests = read(&Path::new(ROOT).join("tests/it/explain.rs"));
    let tested =
        |code: &str| tests.lines().any(|line| line.contains("explains(") && line.contains(&format!("\"{code}\")")));
    let missing: Vec<&String> =
        codes.iter().filter(|code| !tested(code) && ELSEWHERE.iter().all(|(other, _)| other != code)).collect();
    assert!(missing.is_empty(), "reasons of `explain` without a test here: {missing:?}");
}

#[test]
fn what_stops_a_run() {
    let wait = "with.shell = \"touch HERE/on; trap '' TERM; while [ ! -e HERE/go ]; do sleep 0.02; done\"";
    let workflow = format!("name = \"w\"\n{}{}", step("a", "command", wait), step("b", "noop", "needs = [\"a\"]"));
    let sandbox = sandbox(&workflow);
    sandbox.stepwell(&["run", "w.toml", "--detach"]).ok();
    explains(&sandbox, "last", "a", "no_engine");
    explains(&sandbox, "last", "b", "needs");
    sandbox.stepwell(&["pause", "last"]).ok();
    explains(&sandbox, "last", "a", "paused");
    explains(&sandbox, "last", "b", "paused");
    let mut engine = sandbox.start(&["resume", "last"]);
    eventually("the step runs", || sandbox.path("on").exists());
    let mut cancel = sandbox.start(&["cancel", "last"]);
    // The program ignores SIGTERM, so the cancel takes 5 seconds.
    eventually("the cancel", || sandbox.query("SELECT status FROM run") == ["canceling"]);
    explains(&sandbox, "last", "b", "canceling");
    cancel.wait().unwrap();
    engine.wait().unwrap();
    explains(&sandbox, "last", "a", "canceled");
    explains(&sandbox, "last", "b", "canceled");
}

#[test]
fn an_engine_that_drives_another_run() {
    let forever = step("a", "command", "with.argv = [\"sleep\", \"600\"]");
    let sandbox = sandbox(&format!("name = \"w\"\n{forever}{}", step("after", "noop", "needs = [\"a\"]")));
    let mut engine = sandbox.start(&["run", "w.toml", "--name", "one"]);
    becomes(&sandbox, "a", "running");
    engine.kill().unwrap();
    engine.wait().unwrap();
    let mut engine = sandbox.start(&["run", "w.toml", "--name", "two"]);
    eventually("it has given the step back", || {
        sandbox.query("SELECT status FROM run ORDER BY id") == ["interrupted", "running"]
    });
    explains(&sandbox, "one", "a", "interrupted");
    sandbox.stepwell(&["run", "w.toml", "--name", "three", "--detach"]).ok();
    explains(&sandbox, "three", "a", "other_run");
    engine.kill().unwrap();
    engine.wait().unwrap();
}

#[test]
fn what_a_ready_step_waits_for() {
    let hold = "with.shell = \"while [ ! -e HERE/go ]; do sleep 0.02; done\"";
    let again = "retry = { initial_interval = \"1h\", maximum_attempts = 2 }\nwith.shell = \"exit 1\"";
    let workflow = format!(
        "name = \"w\"\n{}{}{}{}{}",
        step("again", "command", again),
        step("one", "command", &format!("priority = 2\nresources = {{ gpu = 1 }}\n{hold}")),
        step("two", "command", "priority = 1\nresources = { gpu = 1 }\nwith.shell = \"true\""),
        step("three", "command", &format!("priority = -1\n{hold}")),
        step("four", "command", "priority = -2\nwith.shell = \"true\""),
    );
    let sandbox = sandbox(&workflow);
    sandbox.write("stepwell.toml", "slots = 2\n[pools]\ngpu = 1\n");
    let mut engine = sandbox.start(&["run", "w.toml"]);
    becomes(&sandbox, "three", "running");
    explains(&sandbox, "last", "again", "backoff");
    explains(&sandbox, "last", "two", "limits");
    explains(&sandbox, "last", "four", "slot");
    sandbox.stepwell(&["cancel", "last"]).ok();
    engine.wait().unwrap();
}

#[test]
fn what_comes_from_outside() {
    let workflow = format!(
        "name = \"w\"\n{}{}{}{}",
        step("ask", "approval", "with.prompt = \"continue?\""),
        step("mail", "signal", "with.name = \"go\""),
        step("below", "workflow", "with.workflow = \"child.toml\""),
        step("each", "signal", "for_each = \"range(2)\"\nwith.name = \"go{{ item }}\""),
    );
    let sandbox = sandbox(&workflow);
    sandbox.write("child.toml", format!("name = \"child\"\n{}", step("ask", "approval", "with.prompt = \"?\"")));
    sandbox.stepwell(&["run", "w.toml", "--name", "top", "--detach"]).ok();
    sandbox.stepwell(&["worker", "--exit-when-idle"]).ok();
    explains(&sandbox, "top", "ask", "approval");
    explains(&sandbox, "top", "mail", "signal");
    explains(&sandbox, "top", "below", "child_run");
    explains(&sandbox, "top", "each", "items");
    let child = sandbox.query("SELECT id FROM run WHERE parent_run IS NOT NULL").remove(0);
    sandbox.stepwell(&["cancel", &child]).ok();
    sandbox.stepwell(&["worker", "--exit-when-idle"]).ok();
    explains(&sandbox, "top", "below", "canceled");
}

#[test]
fn why_a_step_failed() {
    let once = "retry.maximum_attempts = 1\n";
    let workflow = format!(
        "name = \"w\"\n{}{}{}{}{}{}{}",
        step("bad", "command", &format!("{once}with.shell = \"exit 1\"")),
        step("after", "noop", "needs = [\"bad\"]"),
        step("wrong", "command", &format!("{once}with.shell = \"true\"\nwith.outputs = {{ none = \"none\" }}")),
        step("slow", "command", &format!("{once}timeout.start_to_close = \"200ms\"\nwith.argv = [\"sleep\", \"600\"]")),
        step("lost", "command", &format!("{once}with.shell = \"kill -9 $PPID; sleep 600\"")),
        step("late", "signal", "timeout.schedule_to_close = \"200ms\"\nwith.name = \"go\""),
        step("left", "noop", "when = \"false\""),
    );
    let sandbox = sandbox(&workflow);
    sandbox.stepwell(&["run", "w.toml"]).exits(3);
    explains(&sandbox, "last", "bad", "retryable");
    explains(&sandbox, "last", "after", "run_failed");
    explains(&sandbox, "last", "wrong", "fatal");
    explains(&sandbox, "last", "slow", "timeout");
    explains(&sandbox, "last", "lost", "lease_lost");
    explains(&sandbox, "last", "late", "schedule_to_close");
    explains(&sandbox, "last", "left", "skipped");
}

/// `a` can be reused, `b` never is, `c` fails until a file exists.
const REUSED: &str = r#"
name = "w"
[params]
word = "x"
[[step]]
id = "a"
kind = "command"
with = { shell = "echo $WORD > $STEPWELL_OUTPUT_DIR/out", env = { WORD = "{{ params.word }}" }, outputs = { out = "out" } }
[[step]]
id = "b"
kind = "noop"
[[step]]
id = "c"
kind = "command"
retry.maximum_attempts = 1
with.shell = "[ -e HERE/go ]"
[[step]]
id = "d"
kind = "noop"
needs = ["c"]
"#;

#[test]
fn a_run_whose_source_was_removed_is_compared_with_another_one_and_that_is_said() {
    let workflow =
        format!("name = \"w\"\n[params]\nx = 1\n{}", step("a", "noop", "with.values.x = \"{{ params.x }}\""));
    let sandbox = sandbox(&workflow);
    for x in ["x=1", "x=2"] {
        sandbox.stepwell(&["run", "w.toml", "-S", x]).ok();
    }
    sandbox.stepwell(&["rerun", "w-1", "--from-step", "a"]).ok();
    sandbox.stepwell(&["rm", "w-1"]).ok();
    explains(&sandbox, "last", "a", "source_removed");
}

#[test]
fn why_a_step_ran_or_did_not_have_to() {
    let sandbox = sandbox(REUSED);
    sandbox.stepwell(&["run", "w.toml"]).exits(3);
    explains(&sandbox, "last", "a", "first");
    sandbox.stepwell(&["run", "w.toml"]).exits(3);
    explains(&sandbox, "last", "c", "not_done_before");
    sandbox.write("go", "");
    sandbox.stepwell(&["rerun", "last", "--from-step", "c"]).ok();
    explains(&sandbox, "last", "d", "not_started");
    sandbox.stepwell(&["run", "w.toml"]).ok();
    explains(&sandbox, "last", "a", "reused");
    explains(&sandbox, "last", "b", "never_reused");
    sandbox.stepwell(&["run", "w.toml", "-S", "word=y"]).ok();
    explains(&sandbox, "last", "a", "changed");
    sandbox.stepwell(&["run", "w.toml", "-S", "word=y", "--no-reuse"]).ok();
    explains(&sandbox, "last", "a", "asked_for");
    for digest in sandbox.query("SELECT DISTINCT digest FROM step_output") {
        std::fs::remove_file(sandbox.state().join("artifacts/blobs").join(&digest[..2]).join(&digest)).unwrap();
    }
    sandbox.stepwell(&["run", "w.toml", "-S", "word=y"]).ok();
    explains(&sandbox, "last", "a", "outputs_gone");
    // Simulates an earlier run by a build with another version of the kind.
    let database = rusqlite::Connection::open(sandbox.state().join("stepwell.db")).unwrap();
    let newest = "(SELECT max(id) FROM run)";
    database.execute(&format!("UPDATE step SET key = 'other' WHERE id = 'b' AND run < {newest}"), []).unwrap();
    drop(database);
    explains(&sandbox, "last", "b", "kind_version");
}
