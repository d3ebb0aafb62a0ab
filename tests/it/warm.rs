//! Workers that serve several commands in sequence, and the state that a restart does not load.

#[cfg(target_os = "linux")]
use std::fs;
#[cfg(target_os = "linux")]
use std::process::Command;

use crate::harness::Sandbox;
#[cfg(target_os = "linux")]
use crate::harness::{eventually, processes_with, signal};

/// Process ids of the workers of all attempts, oldest first.
#[cfg(target_os = "linux")]
fn workers(sandbox: &Sandbox) -> Vec<String> {
    sandbox.query("SELECT pid FROM attempt ORDER BY started_at, step, attempt")
}

#[cfg(target_os = "linux")]
fn run_id(sandbox: &Sandbox) -> String {
    sandbox.query("SELECT id FROM run ORDER BY id DESC LIMIT 1").remove(0)
}

#[cfg(target_os = "linux")]
#[test]
fn a_worker_takes_the_next_command_unless_its_last_one_failed() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "w.toml",
        r#"
name = "w"
[[step]]
id = "a"
kind = "command"
retry = { initial_interval = "1ms" }
with.shell = "echo a $STEPWELL_ATTEMPT; test $STEPWELL_ATTEMPT = 2"
[[step]]
id = "b"
kind = "command"
needs = ["a"]
with.shell = "echo b; env"
[[step]]
id = "c"
kind = "command"
needs = ["b"]
with.shell = "echo c"
"#,
    );
    sandbox.stepwell(&["run", "w.toml"]).ok();
    let pids = workers(&sandbox);
    assert_eq!(pids.len(), 4);
    assert_ne!(pids[0], pids[1], "a worker went on after a failed attempt");
    assert_eq!((&pids[1], &pids[2]), (&pids[2], &pids[3]), "a worker was not used again");
    let run = run_id(&sandbox);
    let log = |step: &str, attempt: u32| {
        let path = sandbox.state().join("runs").join(&run).join(step).join(format!("attempt-{attempt}.log"));
        fs::read_to_string(path).unwrap()
    };
    assert_eq!((log("a", 1), log("a", 2), log("c", 1)), ("a 1\n".into(), "a 2\n".into(), "c\n".into()));
    let environment = log("b", 1);
    assert!(environment.contains(&format!("STEPWELL_ATTEMPT_ID={run}/b/1\n")), "{environment}");
    assert!(!environment.contains("STEPWELL_WORKER_OF="), "{environment}");
    for step in ["a", "b", "c"] {
        assert!(!sandbox.state().join("runs").join(&run).join(step).join("scratch").exists());
    }
    let mark = format!("STEPWELL_WORKER_OF={}", sandbox.state().canonicalize().unwrap().display());
    assert_eq!(processes_with(&mark), Vec::<u32>::new(), "the engine has left workers");
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_program_leaves_is_dead_before_its_worker_goes_on() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "w.toml",
        r#"
name = "w"
[[step]]
id = "a"
kind = "command"
with.shell = "env -i sleep 600 & echo $! > $STEPWELL_OUTPUT_DIR/pid"
with.outputs = { pid = "pid" }
[[step]]
id = "b"
kind = "command"
needs = ["a"]
with.shell = "! kill -0 $(cat $P) 2>/dev/null"
with.env = { P = "{{ steps.a.outputs.pid }}" }
"#,
    );
    sandbox.stepwell(&["run", "w.toml"]).ok();
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_dies_with_its_worker_also_when_the_engine_cannot_help() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "w.toml",
        "name = \"w\"\n[[step]]\nid = \"a\"\nkind = \"command\"\nretry = { maximum_attempts = 1 }\nwith.argv = [\"sleep\", \"600\"]\n",
    );
    let mut engine = sandbox.start(&["run", "w.toml"]);
    eventually("the program runs", || {
        sandbox.query_count("attempt WHERE pid IS NOT NULL") == 1
            && processes_with(&format!("STEPWELL_ATTEMPT_ID={}/", run_id(&sandbox))).len() == 1
    });
    signal(engine.id(), "STOP");
    signal(workers(&sandbox)[0].parse().unwrap(), "KILL");
    let mark = format!("STEPWELL_ATTEMPT_ID={}/", run_id(&sandbox));
    eventually("the program is dead", || processes_with(&mark).is_empty());
    signal(engine.id(), "CONT");
    assert_eq!(engine.wait().unwrap().code(), Some(3));
}

#[cfg(target_os = "linux")]
#[test]
fn a_stopped_worker_of_a_dead_engine_is_ended_before_its_step_starts_again() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "w.toml",
        r#"
name = "w"
[[step]]
id = "a"
kind = "command"
with.shell = "if [ $STEPWELL_ATTEMPT = 1 ]; then sleep 600; fi"
"#,
    );
    let mut engine = sandbox.start(&["run", "w.toml"]);
    eventually("the worker is known", || sandbox.query_count("attempt WHERE pid IS NOT NULL") == 1);
    let worker = workers(&sandbox).remove(0);
    signal(worker.parse().unwrap(), "STOP");
    signal(engine.id(), "KILL");
    engine.wait().unwrap();
    // Removes every record of the process, as if the engine had died before it could write one.
    let status = Command::new("sh").args(["-c", &format!("test -d /proc/{worker}")]).status().unwrap();
    assert!(status.success(), "a stopped worker cannot notice that its engine is gone");
    sandbox.query("UPDATE step SET pid = NULL, process_start = NULL, boot_id = NULL RETURNING 1");
    sandbox.stepwell(&["resume", "last"]).ok();
    let state = fs::read_to_string(format!("/proc/{worker}/stat")).unwrap_or_default();
    assert!(state.is_empty() || state.contains(") Z "), "the stopped worker lives on: {state}");
}

#[cfg(target_os = "linux")]
#[test]
fn an_engine_without_work_sleeps() {
    let sandbox = Sandbox::new();
    let mut engine = sandbox.start(&["worker"]);
    eventually("the engine listens", || sandbox.state().join("wake").exists());
    let switches = || -> u64 {
        let threads = fs::read_dir(format!("/proc/{}/task", engine.id())).unwrap().flatten();
        let status = threads.map(|thread| fs::read_to_string(thread.path().join("status")).unwrap_or_default());
        let count = |text: String| {
            let line = text.lines().find(|line| line.starts_with("voluntary_ctxt_switches"))?.to_owned();
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        };
        status.filter_map(count).sum()
    };
    let mut before = switches();
    eventually("the engine has settled", || {
        std::thread::sleep(std::time::Duration::from_millis(500));
        let now = switches();
        std::mem::replace(&mut before, now) == now
    });
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(switches(), before, "something polls");
    signal(engine.id(), "KILL");
    engine.wait().unwrap();
}

#[test]
fn a_restarted_run_knows_the_outputs_of_children_that_it_did_not_load() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "w.toml",
        r#"
name = "w"
[[step]]
id = "each"
kind = "command"
for_each = "[1, 2, 3]"
retry = { maximum_attempts = 1 }
[step.with]
env = { N = "{{ item }}", HERE = "{{ params.here }}" }
shell = "echo \"{\\\"double\\\": $((N * 2))}\" > $STEPWELL_VALUES; test $N != 2 || test -e $HERE/fixed"
[[step]]
id = "all"
kind = "noop"
with.values.doubles = "{{ steps.each.values.double }}"
[params]
here = "."
"#,
    );
    let here = format!("here={}", sandbox.dir.path().display());
    sandbox.stepwell(&["run", "w.toml", "-S", &here]).exits(3);
    let children = "SELECT children || ' ' || children_done || ' ' || children_failed FROM step WHERE id = 'each'";
    assert_eq!(sandbox.query(children), ["3 2 1"]);
    sandbox.write("fixed", "");
    sandbox.stepwell(&["resume", "last"]).ok();
    assert_eq!(sandbox.query(children), ["3 3 0"]);
    let show = sandbox.show();
    let all = show["steps"].as_array().unwrap().iter().find(|step| step["id"] == "all").unwrap();
    assert_eq!(all["values"]["doubles"], serde_json::json!([2, 4, 6]));
    assert_eq!(sandbox.query("SELECT count(*) FROM attempt WHERE step LIKE 'each%'"), ["4"]);
    sandbox.stepwell(&["db", "check"]).ok();
}

#[test]
fn a_large_fan_out_is_shown_in_one_line() {
    let sandbox = Sandbox::new();
    sandbox.write("w.toml", "name = \"w\"\n[[step]]\nid = \"each\"\nkind = \"noop\"\nfor_each = \"range(300)\"\n");
    sandbox.stepwell(&["run", "w.toml"]).ok();
    let show = sandbox.show();
    assert_eq!(show["steps"].as_array().unwrap().len(), 1);
    assert_eq!(show["steps"][0]["children"], serde_json::json!({ "total": 300, "done": 300, "failed": 0 }));
    assert!(sandbox.stepwell(&["show", "last"]).ok().stdout.contains("300 of 300 done"));
    let all = sandbox.stepwell(&["show", "last", "--all", "--output", "json"]).ok().json();
    assert_eq!(all["steps"].as_array().unwrap().len(), 301);
}

#[test]
fn the_engine_is_measured_next_to_its_floor() {
    let sandbox = Sandbox::new();
    let args = ["bench", "engine", "--quick", "--rounds", "1", "--dir", ".", "--output", "json"];
    let report = sandbox.stepwell(&args).ok().json();
    for name in ["chain", "fanout", "command", "floor_commit_1", "floor_spawn", "start"] {
        assert!(report["report"]["figures"][name]["median"].as_f64().unwrap() > 0.0, "{name}: {report}");
    }
    let left = std::fs::read_dir(sandbox.dir.path()).unwrap().count();
    assert_eq!(left, 0, "the measurement has left files");
}
