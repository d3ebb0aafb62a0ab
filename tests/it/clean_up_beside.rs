//! `rm` and `gc` while an engine runs: the engine does the work, once, whoever is killed.

use std::process::Child;
use std::time::Duration;

use serde_json::Value;
use stepwell_store::EngineLock;

use crate::harness::{Sandbox, eventually, signal};

/// What a process writes into `wake` to call the engine.
const WAKE: u8 = b'w';

/// Gives a file that depends on `text` alone.
const FLOW: &str = r#"
name = "flow"
[params]
text = "one"
[[step]]
id = "make"
kind = "command"
with = { shell = "echo \"$TEXT\" > \"$STEPWELL_OUTPUT_DIR/file\"", env = { TEXT = "{{ params.text }}" }, outputs = { file = "file" } }
"#;

/// Reads the file of a step that ran before a person agreed.
const READER: &str = r#"
name = "reader"
[[step]]
id = "make"
kind = "command"
with = { shell = "echo \"$TEXT\" > \"$STEPWELL_OUTPUT_DIR/file\"", env = { TEXT = "one" }, outputs = { file = "file" } }
[[step]]
id = "ask"
kind = "approval"
needs = ["make"]
with.prompt = "?"
[[step]]
id = "read"
kind = "command"
needs = ["ask"]
with = { argv = ["cat", "{{ steps.make.outputs.file }}"] }
"#;

/// An engine that stays, and its sandbox.
struct Beside {
    sandbox: Sandbox,
    engine: Child,
}

impl Beside {
    fn new() -> Beside {
        let sandbox = Sandbox::new();
        sandbox.write("flow.toml", FLOW);
        sandbox.write("reader.toml", READER);
        let engine = worker(&sandbox);
        Beside { sandbox, engine }
    }

    fn run(&self, text: &str) {
        self.sandbox.stepwell(&["run", "flow.toml", "-S", &format!("text={text}")]).ok();
    }

    fn pruned(&self) -> Vec<String> {
        self.sandbox.query("SELECT name FROM run WHERE pruned_at IS NOT NULL ORDER BY id")
    }

    #[track_caller]
    fn assert_sound(&self) {
        self.sandbox.stepwell(&["db", "check"]).ok();
        self.sandbox.stepwell(&["artifact", "verify"]).ok();
        let twice =
            self.sandbox.query("SELECT run FROM event WHERE kind = 'run_pruned' GROUP BY run HAVING count(*) > 1");
        assert!(twice.is_empty(), "{twice:?}");
    }

    /// Nobody waits for a clean-up, and nothing is left that one would remove.
    #[track_caller]
    fn assert_done(&self) {
        let left = std::fs::read_dir(self.sandbox.state().join("clean-ups")).into_iter().flatten().flatten();
        let left: Vec<_> =
            left.map(|entry| entry.file_name()).filter(|name| !name.to_string_lossy().ends_with("answer")).collect();
        assert!(left.is_empty(), "{left:?}");
        let plan = self.sandbox.stepwell(&["gc", "--dry-run", "--output", "json"]).ok().json();
        assert_eq!(plan["artifacts"]["bytes"], 0, "{plan}");
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.engine.kill();
        let _ = self.engine.wait();
    }
}

fn worker(sandbox: &Sandbox) -> Child {
    let engine = sandbox.start(&["worker"]);
    eventually("the worker has the lock", || EngineLock::holder(&sandbox.state()).is_some());
    engine
}

fn names(value: &Value) -> Vec<&str> {
    value["runs"].as_array().unwrap().iter().map(|run| run["name"].as_str().unwrap()).collect()
}

#[test]
fn the_engine_removes_runs_and_the_verb_says_the_same() {
    let beside = Beside::new();
    let Beside { sandbox, .. } = &beside;
    for text in ["one", "three", "two"] {
        beside.run(text);
    }
    sandbox.stepwell(&["keep", "flow-3"]).ok();
    let plan = sandbox.stepwell(&["rm", "flow-1", "flow-2", "--dry-run", "--output", "json"]).ok().json();
    let done = sandbox.stepwell(&["rm", "flow-1", "flow-2", "--output", "json"]).ok().json();
    assert_eq!(
        (names(&done), &done["bytes"], &done["runs"][0]["bytes"]),
        (vec!["flow-1", "flow-2"], &plan["bytes"], &plan["runs"][0]["bytes"])
    );
    sandbox.stepwell(&["rm", "flow-1"]).exits(6).says(&["was removed on"]);
    sandbox.stepwell(&["rm", "flow-3"]).exits(2).says(&["is kept"]);
    beside.run("four");
    let collected = sandbox.stepwell(&["gc", "--keep-runs", "0"]).ok().stdout;
    assert!(collected.starts_with("removed 1 run\n") && collected.contains("flow-4"), "{collected}");
    assert_eq!(beside.pruned(), ["flow-1", "flow-2", "flow-4"]);
    beside.assert_sound();
    beside.assert_done();
    // The engine works on.
    beside.run("one");
    assert_eq!(sandbox.query_count("event WHERE kind = 'step_reused'"), 0, "nothing is reused of what is gone");
}

#[test]
fn a_live_run_reads_what_a_removed_run_made() {
    let beside = Beside::new();
    let Beside { sandbox, .. } = &beside;
    beside.run("one");
    sandbox.stepwell(&["run", "reader.toml", "--detach"]).ok();
    eventually("the reader waits", || sandbox.query_count("step WHERE status = 'waiting'") == 1);
    assert_eq!(sandbox.query_count("step WHERE reused_from IS NOT NULL"), 1, "it shares the file");
    sandbox.stepwell(&["rm", "reader"]).exits(2).says(&["stepwell cancel"]);
    sandbox.stepwell(&["rm", "flow-1"]).ok();
    sandbox.stepwell(&["gc", "--keep-runs", "0"]).ok();
    sandbox.stepwell(&["approve", "reader", "ask"]).ok();
    eventually("the reader has read it", || {
        sandbox.query_count("run WHERE status = 'succeeded' AND name = 'reader-1'") == 1
    });
    beside.assert_sound();
}

#[test]
fn a_request_outlives_the_verb_and_the_engine() {
    let mut beside = Beside::new();
    for round in 0..6_u64 {
        for text in ["a", "b"] {
            beside.run(&format!("{text}{round}"));
        }
        let newest = beside.sandbox.query("SELECT name FROM run ORDER BY id DESC LIMIT 2");
        let names: Vec<&str> = newest.iter().map(String::as_str).collect();
        let mut rm = beside.sandbox.start(&[&["rm"], names.as_slice()].concat());
        let asked = |beside: &Beside| {
            let files = std::fs::read_dir(beside.sandbox.state().join("clean-ups")).into_iter().flatten().flatten();
            files.filter(|entry| entry.file_name().to_string_lossy().ends_with("asked")).count() > 0
                || beside.pruned().len() == 2 * (round as usize + 1)
        };
        eventually("the request is there", || asked(&beside));
        std::thread::sleep(Duration::from_millis(round * 3));
        // The verb dies, the engine dies, or both.
        if round % 3 != 1 {
            let _ = rm.kill();
        }
        if round % 3 != 0 {
            signal(beside.engine.id(), "KILL");
            beside.engine.wait().unwrap();
        }
        let status = rm.wait().unwrap();
        if round % 3 == 1 {
            assert!(status.success(), "the verb does it itself");
        }
        beside.assert_sound();
        if round % 3 != 0 {
            beside.engine = worker(&beside.sandbox);
        }
        eventually("the runs are removed", || {
            // A verb that dies between its request and the call of the engine leaves it to the next call.
            let _ = std::fs::write(beside.sandbox.state().join("wake"), [WAKE]);
            beside.pruned().len() == 2 * (round as usize + 1)
        });
    }
    eventually("all requests are done", || {
        let folder = beside.sandbox.state().join("clean-ups");
        let names = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
        // What an engine that dies at its answer leaves goes with the answer.
        names
            .filter_map(|name| Some(name.to_str()?.strip_suffix(".asked")?.to_owned()))
            .all(|id| folder.join(format!("{id}.answer")).exists())
    });
    beside.assert_sound();
    beside.assert_done();
}

/// A worker that finds the content there writes nothing, and commits later that it is there.
#[cfg(feature = "failpoints")]
#[test]
fn content_that_a_live_attempt_publishes_again_stays() {
    let sandbox = Sandbox::new();
    sandbox.write("flow.toml", FLOW);
    sandbox.stepwell(&["run", "flow.toml"]).ok();
    let mut command = sandbox.command(&["run", "flow.toml", "--no-reuse"]);
    let mut engine = command.env("FAILPOINTS", "command.outputs.after=sleep(3000)").spawn().unwrap();
    eventually("the attempt has published the file", || {
        std::fs::read_dir(sandbox.state().join("artifacts/holds")).into_iter().flatten().flatten().any(|entry| {
            entry.file_name().to_string_lossy().starts_with("attempt-")
                && entry.metadata().is_ok_and(|found| found.len() > 0)
        })
    });
    sandbox.stepwell(&["rm", "flow-1"]).ok();
    sandbox.stepwell(&["gc"]).ok();
    assert!(engine.wait().unwrap().success());
    assert_eq!(sandbox.query_count("run WHERE pruned_at IS NOT NULL"), 1);
    sandbox.stepwell(&["artifact", "verify"]).ok();
    sandbox.stepwell(&["db", "check"]).ok();
    let holds = sandbox.state().join("artifacts/holds");
    assert_eq!(std::fs::read_dir(holds).unwrap().flatten().filter(|entry| entry.file_name() != "gate").count(), 0);
}
