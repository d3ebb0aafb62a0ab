//! Gates, approvals, signals, child workflows and the checkpoint protocol across SIGKILL and restarts
//! (rows E10, E14, E16).

#[cfg(target_os = "linux")]
use std::process::Command;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::harness::{Sandbox, eventually, signal};
#[cfg(target_os = "linux")]
use crate::harness::{children, processes_with};

fn sandbox(workflow: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("w.toml", workflow);
    sandbox
}

fn kill(mut engine: Child) {
    engine.kill().unwrap();
    engine.wait().unwrap();
}

/// Status of a step of the newest top-level run; empty without a run.
fn step_status(sandbox: &Sandbox, step: &str) -> String {
    if sandbox.query_count("step") == 0 {
        return String::new();
    }
    let sql = format!(
        "SELECT step.status FROM step JOIN run ON run.id = run WHERE parent_run IS NULL AND step.id = '{step}'"
    );
    sandbox.query(&sql).pop().unwrap_or_default()
}

fn waits(sandbox: &Sandbox, step: &str) {
    eventually("the step waits", || step_status(sandbox, step) == "waiting");
}

fn top_run(sandbox: &Sandbox) -> Value {
    let list = sandbox.stepwell(&["list", "--output", "json"]).ok().json();
    list["runs"][0].clone()
}

fn show(sandbox: &Sandbox, run: &str) -> Value {
    sandbox.stepwell(&["show", run, "--output", "json"]).ok().json()
}

const GATED: &str = r#"
name = "gated"
[params]
on_false = "continue"
[[step]]
id = "measure"
kind = "noop"
with.values.loss = 2.75
[[step]]
id = "good"
kind = "gate"
with = { rule = "loss < 2.5", inputs = { loss = "{{ steps.measure.values.loss }}" }, on_false = "{{ params.on_false }}" }
[[step]]
id = "ship"
kind = "noop"
when = "steps.good.values.passed"
[[step]]
id = "again"
kind = "noop"
when = "not steps.good.values.passed"
"#;

#[test]
fn a_gate_records_its_decision_and_steers_what_follows() {
    let sandbox = sandbox(GATED);
    sandbox.stepwell(&["run", "w.toml"]).ok();
    let shown = sandbox.show();
    let status = |index: usize| shown["steps"][index]["status"].as_str().unwrap().to_owned();
    assert_eq!([status(1), status(2), status(3)], ["succeeded", "skipped", "succeeded"]);
    let decision = &shown["decisions"][0];
    assert_eq!((decision["rule"].as_str(), decision["verdict"].as_str()), (Some("loss < 2.5"), Some("rejected")));
    assert_eq!((&decision["inputs"]["loss"], &decision["approver"]), (&2.75.into(), &Value::Null));
    assert_eq!(sandbox.query("SELECT verdict || ' ' || inputs FROM decision"), ["rejected {\"loss\":2.75}"]);
    assert_eq!(
        sandbox.query("SELECT kind FROM event WHERE step = 'good' AND kind != 'step_ready' ORDER BY seq"),
        ["step_decided", "step_succeeded"]
    );

    let failed = sandbox.stepwell(&["run", "w.toml", "-S", "on_false=fail"]).exits(3);
    failed.says(&["the rule `loss < 2.5` is false for loss = 2.75", "on_false"]);
    // Every run decides again; decisions are never reused.
    assert_eq!(sandbox.query_count("decision"), 2);
    sandbox.stepwell(&["db", "check"]).ok();
}

#[test]
fn a_gate_can_ask_a_person() {
    let sandbox = sandbox(GATED);
    let mut engine = sandbox.start(&["run", "w.toml", "-S", "on_false=ask"]);
    waits(&sandbox, "good");
    sandbox.stepwell(&["approve", "last", "good", "--by", "ada", "--comment", "close enough"]).ok();
    assert!(engine.wait().unwrap().success());
    let shown = sandbox.show();
    assert_eq!(shown["steps"][2]["status"], "succeeded", "ship");
    assert_eq!(shown["steps"][1]["values"]["approver"], "ada");
    let decisions = shown["decisions"].as_array().unwrap();
    assert_eq!((decisions.len(), &decisions[1]["inputs"]["loss"]), (2, &2.75.into()));
    assert_eq!((&decisions[1]["approver"], &decisions[1]["comment"]), (&"ada".into(), &"close enough".into()));
}

#[test]
fn broken_rules_and_child_workflows_are_refused_with_file_and_line() {
    let sandbox = sandbox(&GATED.replace("rule = \"loss < 2.5\"", "rule = \"los < 2.5 | bogus\""));
    sandbox.stepwell(&["run", "w.toml"]).exits(2).says(&["w.toml:12", "`los`", "did you mean `loss`", "bogus"]);
    let step = |workflow: &str, params: &str| {
        format!(
            "\n[[step]]\nid = \"c\"\nkind = \"workflow\"\nwith = {{ workflow = \"{workflow}\", params = {{ {params} }} }}\n"
        )
    };
    sandbox.write("self.toml", format!("name = \"self\"{}", step("self.toml", "")));
    sandbox.stepwell(&["run", "self.toml"]).exits(2).says(&["self.toml:5", "starts itself: self.toml -> self.toml"]);
    sandbox.write("a.toml", format!("name = \"a\"{}", step("deep/b.toml", "")));
    sandbox.write("deep/b.toml", format!("name = \"b\"{}", step("../a.toml", "")));
    sandbox.stepwell(&["run", "a.toml"]).exits(2).says(&["a.toml:5", "deep/b.toml:5"]);
    sandbox.write("none.toml", format!("name = \"none\"{}", step("nothing.toml", "")));
    sandbox.stepwell(&["run", "none.toml"]).exits(2).says(&["none.toml:5", "nothing.toml does not exist"]);
    sandbox.write("child.toml", CHILD);
    sandbox.write("wrong.toml", format!("name = \"wrong\"{}", step("child.toml", "wrod = 1, word = 2")));
    sandbox.stepwell(&["run", "wrong.toml"]).exits(2).says(&["no param `wrod`", "`word` must be text", "hint"]);
    sandbox.write("child.toml", CHILD.replace("kind = \"command\"", "kind = \"comand\""));
    sandbox.write("inner.toml", format!("name = \"inner\"{}", step("child.toml", "")));
    sandbox.stepwell(&["run", "inner.toml"]).exits(2).says(&[
        "inner.toml:5",
        "child.toml:7",
        "unknown step kind `comand`",
    ]);
    assert!(!sandbox.state().exists());
}

const APPROVED: &str = r#"
name = "release"
[[step]]
id = "build"
kind = "command"
with = { shell = "echo built >> \"$LEDGER\"", env = { LEDGER = "LEDGER_FILE" } }
[[step]]
id = "ship"
kind = "approval"
needs = ["build"]
with = { prompt = "ship {{ run.name }}?", inputs = { size = 3 } }
[[step]]
id = "publish"
kind = "noop"
with.values.by = "{{ steps.ship.values.approver }}"
"#;

fn release() -> Sandbox {
    let sandbox = Sandbox::new();
    let ledger = sandbox.path("ledger");
    sandbox.write("w.toml", APPROVED.replace("LEDGER_FILE", ledger.to_str().unwrap()));
    sandbox
}

#[cfg(target_os = "linux")]
#[test]
fn an_approval_waits_over_kills_and_is_given_without_an_engine() {
    let sandbox = release();
    let engine = sandbox.start(&["run", "w.toml"]);
    waits(&sandbox, "ship");
    eventually("no process waits", || children(engine.id()).is_empty());
    kill(engine);
    for _ in 0..2 {
        let engine = sandbox.start(&["resume", "last"]);
        eventually("the engine serves", || top_run(&sandbox)["status"] == "running");
        kill(engine);
    }
    let run = top_run(&sandbox);
    assert_eq!((&run["waits"][0]["step"], &run["waits"][0]["for"]), (&"ship".into(), &"approval".into()));
    assert!(sandbox.stepwell(&["list"]).ok().stdout.contains("a person: ship"));
    assert!(sandbox.stepwell(&["show", "last"]).ok().stdout.contains("waits for a person: ship release-1?"));
    assert!(sandbox.stepwell(&["explain", "last", "ship"]).ok().stdout.contains("stepwell approve release-1 ship"));
    sandbox.stepwell(&["approve", "last", "build"]).exits(2).says(&["does not wait for a person", "`ship`"]);
    sandbox.stepwell(&["approve", "last", "shp"]).exits(6);
    let approved = sandbox.stepwell(&["approve", "release", "ship", "--by", "ada", "--output", "json"]).ok().json();
    assert_eq!((&approved["verdict"], &approved["approver"]), (&"approved".into(), &"ada".into()));
    sandbox.stepwell(&["approve", "release", "ship"]).exits(2);
    sandbox.stepwell(&["resume", "last"]).ok();
    let shown = sandbox.show();
    assert_eq!(shown["steps"][2]["values"]["by"], "ada");
    assert_eq!(shown["decisions"][0]["inputs"]["size"], 3);
    assert_eq!(crate::harness::read(&sandbox.path("ledger")), "built\n");
    sandbox.stepwell(&["db", "check"]).ok();
}

#[test]
fn whoever_takes_a_waiting_run_over_is_told_what_it_waits_for() {
    let sandbox = release();
    let engine = sandbox.start(&["run", "w.toml"]);
    waits(&sandbox, "ship");
    kill(engine);
    for (verb, line) in [("resume", "\nship  waits for"), ("worker", "release-1: ship  waits for")] {
        let err = sandbox.path(verb);
        let mut command = sandbox.command(&[verb]);
        let engine = command.stdout(Stdio::null()).stderr(std::fs::File::create(&err).unwrap()).spawn().unwrap();
        eventually("it says so", || {
            let told = crate::harness::read(&err);
            told.contains(line) && told.contains("stepwell approve")
        });
        kill(engine);
    }
}

#[test]
fn a_foreground_run_says_what_to_do_and_ctrl_c_leaves_it_waiting() {
    let sandbox = release();
    let mut command = sandbox.command(&["run", "w.toml"]);
    let engine = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    waits(&sandbox, "ship");
    signal(engine.id(), "INT");
    let output = engine.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("ship  waits for a person: ship release-1?"), "{stderr}");
    assert!(stderr.contains("hint: `stepwell approve "), "{stderr}");
    let by = ["approve", "last", "ship", "--reject", "--by", "bob", "--comment", "not today"];
    sandbox.stepwell(&by).ok();
    sandbox.stepwell(&["list"]).ok();
    assert_eq!(top_run(&sandbox)["status"], "failed");
    let shown = sandbox.show();
    assert_eq!(shown["run"]["failure"]["message"], "rejected by bob: not today");
    // The step asks again; this time an engine is running.
    let mut engine = sandbox.start(&["resume", "last"]);
    waits(&sandbox, "ship");
    sandbox.stepwell(&["approve", "last", "ship"]).ok();
    assert!(engine.wait().unwrap().success());
    assert_eq!(sandbox.query_count("decision"), 2);
}

#[test]
fn signals_are_taken_in_order_once_each_over_kills() {
    let mut workflow = "name = \"post\"\n".to_owned();
    for index in 0..6 {
        let needs = if index == 0 { String::new() } else { format!("needs = [\"s{}\"]\n", index - 1) };
        workflow += &format!("[[step]]\nid = \"s{index}\"\nkind = \"signal\"\n{needs}with.name = \"mail\"\n");
    }
    let sandbox = sandbox(&workflow);
    let send = |number: u32| {
        let payload = format!("{{\"number\": {number}}}");
        sandbox.stepwell(&["signal", "last", "mail", "--payload", &payload]).ok();
    };
    let mut engine = sandbox.start(&["run", "w.toml"]);
    waits(&sandbox, "s0");
    for number in 0..6 {
        match number % 3 {
            0 => send(number),
            1 => {
                // The engine is killed while it has the request.
                let payload = format!("{{\"number\": {number}}}");
                let mut client = sandbox.start(&["signal", "last", "mail", "--payload", &payload]);
                eventually("the request is there", || sandbox.query_count("request") > u64::from(number));
                kill(engine);
                assert!(client.wait().unwrap().success(), "answered by itself without an engine");
                engine = sandbox.start(&["resume", "last"]);
            }
            _ => {
                kill(engine);
                send(number);
                engine = sandbox.start(&["resume", "last"]);
            }
        }
    }
    assert!(engine.wait().unwrap().success());
    let shown = sandbox.show();
    for number in 0..6 {
        assert_eq!(shown["steps"][number]["values"]["payload"]["number"], number, "of s{number}");
    }
    assert_eq!(sandbox.query("SELECT taken_by FROM signal ORDER BY seq"), ["s0", "s1", "s2", "s3", "s4", "s5"]);
    assert_eq!(sandbox.query_count("signal"), 6);
    sandbox.stepwell(&["signal", "last", "mail"]).exits(2).says(&["has ended"]);
    sandbox.stepwell(&["signal", "last", "mail", "--payload", "yes"]).exits(2).says(&["quotes"]);
    sandbox.stepwell(&["db", "check"]).ok();
}

const CHILD: &str = r#"name = "child"
[params]
word = "a"

[[step]]
id = "write"
kind = "command"
with = { shell = "sleep 0.05; printf '%s' '{{ params.word }}' > \"$STEPWELL_OUTPUT_DIR/out\"", outputs = { out = "out" } }
[outputs]
text = "{{ steps.write.outputs.out }}"
word = "{{ params.word }}"
"#;

const PARENT: &str = r#"
name = "parent"
[[step]]
id = "each"
kind = "workflow"
for_each = "range(12)"
with = { workflow = "child.toml", params = { word = "w{{ item }}" } }
[[step]]
id = "join"
kind = "command"
with = { shell = "cat \"$FIRST\" \"$LAST\" > \"$STEPWELL_OUTPUT_DIR/all\"", env = { FIRST = "{{ steps.each.outputs.text[0] }}", LAST = "{{ steps.each.outputs.text[11] }}" }, outputs = { all = "all" } }
"#;

#[test]
fn a_child_run_is_submitted_once_however_often_the_engine_is_killed() {
    let sandbox = sandbox(PARENT);
    sandbox.write("child.toml", CHILD);
    let mut engine = sandbox.start(&["run", "w.toml"]);
    for kills in 0..8 {
        // Kill right after a child was submitted, before its step knows it.
        eventually("another child", || sandbox.query_count("run") > 1 + kills || engine.try_wait().unwrap().is_some());
        kill(engine);
        // The pinned workflow counts, not the changed file.
        sandbox.write("child.toml", "name = \"changed\"\n[[step]]\nid = \"x\"\nkind = \"noop\"\n");
        engine = sandbox.start(&["resume", "parent"]);
    }
    assert!(engine.wait().unwrap().success());
    assert_eq!(sandbox.query_count("run"), 13);
    assert_eq!(sandbox.query("SELECT count(DISTINCT name) FROM run WHERE parent_run IS NOT NULL"), ["12"]);
    let all = sandbox.stepwell(&["artifact", "show", "parent/join/all"]).ok().stdout;
    assert!(all.contains("w0w11"), "{all}");
    let list = sandbox.stepwell(&["list", "--output", "json"]).ok().json();
    let names: Vec<&str> = list["runs"].as_array().unwrap().iter().map(|run| run["name"].as_str().unwrap()).collect();
    assert_eq!(names[..3], ["parent-1", "parent-1.each[0]", "parent-1.each[1]"]);
    assert_eq!(list["runs"][1]["parent"], list["runs"][0]["id"]);
    assert_eq!(show(&sandbox, "parent-1.each[3]")["run"]["workflow"], "child");
    assert_eq!(show(&sandbox, "parent")["steps"][4]["values"]["word"], "w3");
    sandbox.stepwell(&["db", "check"]).ok();
}

#[cfg(target_os = "linux")]
#[test]
fn a_worker_drives_children_and_cancel_reaches_their_processes() {
    let sandbox = sandbox(&PARENT.replace("range(12)", "range(2)").replace("text[11]", "text[1]"));
    sandbox.write("child.toml", CHILD.replace("sleep 0.05", "sleep 300"));
    sandbox.stepwell(&["run", "w.toml", "--detach"]).ok();
    let mut engine = sandbox.start(&["worker", "--exit-when-idle"]);
    let running = || sandbox.query("SELECT id FROM step WHERE status = 'running' AND pid IS NOT NULL").len();
    eventually("both children run", || running() == 2);
    sandbox.stepwell(&["cancel", "parent"]).ok();
    assert!(engine.wait().unwrap().success());
    assert_eq!(sandbox.query("SELECT DISTINCT status FROM run"), ["canceled"]);
    for run in sandbox.query("SELECT id FROM run") {
        let mark = format!("STEPWELL_ATTEMPT_ID={run}/");
        eventually("no process is left", || processes_with(&mark).is_empty());
    }
    sandbox.stepwell(&["db", "check"]).ok();
}

#[test]
fn ctrl_c_interrupts_children_and_resume_takes_them_up() {
    let sandbox = sandbox(&PARENT.replace("range(12)", "range(2)").replace("text[11]", "text[1]"));
    sandbox.write("child.toml", CHILD.replace("sleep 0.05", "[ -e go ] || sleep 300"));
    let mut engine = sandbox.start(&["run", "w.toml"]);
    let running =
        || sandbox.query_count("run") == 3 && sandbox.query("SELECT id FROM step WHERE pid IS NOT NULL").len() == 2;
    eventually("both children run", running);
    signal(engine.id(), "INT");
    assert_eq!(engine.wait().unwrap().code(), Some(130));
    assert_eq!(sandbox.query("SELECT DISTINCT status FROM run"), ["interrupted"]);
    for step in sandbox.query("SELECT run FROM step WHERE id = 'write'") {
        sandbox.write(&format!("state/runs/{step}/write/scratch/work/go"), "");
    }
    sandbox.stepwell(&["resume", "parent"]).ok();
    assert_eq!(sandbox.query("SELECT DISTINCT status FROM run"), ["succeeded"]);
    assert_eq!(sandbox.query_count("run"), 3);
}

#[cfg(target_os = "linux")]
#[test]
fn training_by_hand_gives_the_same_outputs_after_any_kill() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let workflow = format!("{examples}/by_hand.toml");
    let folder = format!("folder={examples}");
    let mut run = vec!["run", &workflow, "-S", &folder, "-S", "steps=320"];
    let has_python = Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
    if !has_python {
        run.extend(["--skip", "python"]);
    }
    let whole = Sandbox::new();
    whole.stepwell(&run).ok();
    let killed = Sandbox::new();
    let checkpoints = || killed.query_count("event WHERE kind = 'checkpoint_committed'");
    let mut engine = killed.start(&run);
    for kills in 0..6 {
        let goal = checkpoints() + 2;
        eventually("more checkpoints, or the end", || checkpoints() >= goal || engine.try_wait().unwrap().is_some());
        if engine.try_wait().unwrap().is_some() {
            break;
        }
        if kills % 2 == 0 {
            kill(engine);
            engine = killed.start(&["resume", "last"]);
        } else {
            let id = killed.query("SELECT id FROM run").remove(0);
            for program in processes_with(&format!("STEPWELL_ATTEMPT_ID={id}/")) {
                let _ = Command::new("kill").args(["-KILL", &program.to_string()]).output();
            }
        }
    }
    assert!(engine.wait().unwrap().success());
    assert_eq!(killed.digests(), whole.digests());
    let (killed_steps, whole_steps) = (killed.show()["steps"].clone(), whole.show()["steps"].clone());
    for index in 0..2 {
        assert_eq!(killed_steps[index]["values"], whole_steps[index]["values"]);
    }
    assert!(killed_steps[0]["attempts"].as_u64() > Some(1), "it was killed");
    killed.stepwell(&["db", "check"]).ok();
}
