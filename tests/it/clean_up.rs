//! Tags, notes, pins, names, and removing runs one by one.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Sandbox, eventually, signal};

/// Gives a file that depends on `text`, a copy of it, and a loss.
const FLOW: &str = r#"
name = "flow"
[params]
text = "one"
fail = false
[[step]]
id = "make"
kind = "command"
with = { shell = "echo \"$TEXT\" > \"$STEPWELL_OUTPUT_DIR/file\"; echo said $TEXT", env = { TEXT = "{{ params.text }}" }, outputs = { file = "file" } }
[[step]]
id = "judge"
kind = "command"
needs = ["make"]
retry = { maximum_attempts = 1 }
with = { shell = "echo '{\"val_loss\": 2.5}' > \"$STEPWELL_VALUES\"; [ \"$FAIL\" = false ]", env = { FAIL = "{{ params.fail }}", TEXT = "{{ params.text }}" } }
"#;

/// The log of `make`.
const SAID: &str = "==> make attempt 1\nsaid one\n";

fn flow() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("flow.toml", FLOW);
    sandbox
}

fn run(sandbox: &Sandbox, text: &str) {
    sandbox.stepwell(&["run", "flow.toml", "-S", &format!("text={text}")]).ok();
}

fn blob(sandbox: &Sandbox) -> PathBuf {
    let digest = sandbox.show()["steps"][0]["outputs"]["file"]["digest"].as_str().unwrap().to_owned();
    sandbox.state().join("artifacts/blobs").join(&digest[..2]).join(digest)
}

#[track_caller]
fn assert_sound(sandbox: &Sandbox) {
    sandbox.stepwell(&["db", "check"]).ok();
    sandbox.stepwell(&["artifact", "verify"]).ok();
}

fn names(value: &Value) -> Vec<&str> {
    value["runs"].as_array().unwrap().iter().map(|run| run["name"].as_str().unwrap()).collect()
}

#[test]
fn runs_have_numbered_names_and_the_workflow_means_the_newest() {
    let sandbox = flow();
    for text in ["a", "b"] {
        run(&sandbox, text);
    }
    sandbox.stepwell(&["run", "flow.toml", "--name", "best"]).ok();
    run(&sandbox, "c");
    assert_eq!(sandbox.query("SELECT name FROM run ORDER BY id"), ["flow-1", "flow-2", "best", "flow-4"]);
    let shown = |selector: &str| {
        let shown = sandbox.stepwell(&["show", selector, "--output", "json"]).ok().json();
        shown["run"]["name"].as_str().unwrap().to_owned()
    };
    assert_eq!((shown("flow"), shown("flow-2"), shown("best")), ("flow-4".into(), "flow-2".into(), "best".into()));
    let listed = sandbox.stepwell(&["list"]).ok().stdout;
    let short = listed.lines().nth(2).unwrap().split_whitespace().next().unwrap().to_owned();
    assert_eq!((short.len(), shown(&short)), (8, "best".into()), "{listed}");
    // A repeated run counts on.
    sandbox.stepwell(&["rerun", "flow-1", "--from-step", "judge"]).ok();
    sandbox.stepwell(&["rerun", "best", "--from-step", "judge"]).ok();
    sandbox.stepwell(&["rerun", "best-2", "--from-step", "judge"]).ok();
    assert_eq!(sandbox.query("SELECT name FROM run ORDER BY id DESC LIMIT 3"), ["best-3", "best-2", "flow-5"]);
}

#[test]
fn runs_that_are_submitted_at_once_get_different_names() {
    let sandbox = flow();
    let many: Vec<_> = (0..6).map(|_| sandbox.start(&["run", "flow.toml", "--detach"])).collect();
    for mut submission in many {
        assert!(submission.wait().unwrap().success());
    }
    assert_eq!(sandbox.query("SELECT count(DISTINCT name) FROM run"), ["6"]);
}

#[test]
fn tags_and_notes_are_written_while_an_engine_runs_and_survive_a_backup() {
    let sandbox = flow();
    sandbox.write("wait.toml", "name = \"wait\"\n[[step]]\nid = \"a\"\nkind = \"approval\"\nwith.prompt = \"?\"\n");
    let mut engine = sandbox.start(&["run", "wait.toml", "--tag", "baseline", "--tag", "lr=0.1"]);
    eventually("the run waits", || sandbox.query_count("step WHERE status = 'waiting'") == 1);
    sandbox.stepwell(&["tag", "last", "good", "--remove", "lr=0.1"]).ok();
    sandbox.stepwell(&["note", "last", "- with the new tokenizer"]).ok();
    sandbox.stepwell(&["keep", "wait"]).ok();
    sandbox.stepwell(&["tag", "last", "two words"]).exits(2).says(&["a tag cannot hold"]);
    sandbox.stepwell(&["approve", "last", "a"]).ok();
    engine.wait().unwrap();
    sandbox.stepwell(&["db", "check"]).ok();
    sandbox.stepwell(&["db", "backup", "copy"]).ok();
    sandbox.stepwell(&["tag", "last", "worse"]).ok();
    sandbox.stepwell(&["db", "restore", "copy"]).ok();
    let tags = sandbox.stepwell(&["tag", "last", "--output", "json"]).ok().json();
    assert_eq!(tags["tags"], serde_json::json!(["baseline", "good"]));
    assert_eq!(sandbox.stepwell(&["note", "last"]).ok().stdout.trim(), "- with the new tokenizer");
    sandbox.stepwell(&["note", "last", "--clear"]).ok();
    assert!(sandbox.stepwell(&["note", "last"]).ok().stdout.contains("has no note"));
    sandbox.stepwell(&["db", "check"]).ok();
}

#[test]
fn rm_removes_exactly_these_runs_and_keeps_what_others_need() {
    let sandbox = flow();
    run(&sandbox, "one");
    let shared = blob(&sandbox);
    run(&sandbox, "two");
    let own = blob(&sandbox);
    // Reuses the output of the first run.
    run(&sandbox, "one");
    let plan = sandbox.stepwell(&["rm", "flow-1", "flow-2", "--dry-run", "--output", "json"]).ok().json();
    assert_eq!(names(&plan), ["flow-1", "flow-2"]);
    assert!(own.exists());
    let done = sandbox.stepwell(&["rm", "flow-1", "flow-2", "--output", "json"]).ok().json();
    assert_eq!((&done["pruned"], &done["bytes"]), (&plan["pruned"], &plan["bytes"]));
    assert!(shared.exists() && !own.exists());
    assert_sound(&sandbox);
    assert_eq!(names(&sandbox.stepwell(&["list", "--output", "json"]).ok().json()), ["flow-3"]);
    sandbox.stepwell(&["rm", "flow-1"]).exits(6).says(&["was removed on"]);
    let left = sandbox.stepwell(&["gc", "--dry-run", "--output", "json"]).ok().json();
    assert_eq!(left["bytes"], 0, "{left}");
}

#[test]
fn rm_refuses_active_and_kept_runs_and_then_removes_nothing() {
    let sandbox = flow();
    run(&sandbox, "one");
    run(&sandbox, "two");
    sandbox.stepwell(&["keep", "flow-2"]).ok();
    sandbox.stepwell(&["run", "flow.toml", "--detach"]).ok();
    sandbox.stepwell(&["rm", "flow-1", "flow-3"]).exits(2).says(&["is pending", "stepwell cancel"]);
    sandbox.stepwell(&["rm", "flow-1", "flow-2"]).exits(2).says(&["is kept", "stepwell keep --undo"]);
    sandbox.stepwell(&["rm", "flow-1", "nothing"]).exits(6).says(&["no run matches"]);
    assert_eq!(sandbox.query("SELECT count(*) FROM run WHERE pruned_at IS NOT NULL"), ["0"]);
    sandbox.stepwell(&["keep", "--undo", "flow-2"]).ok();
    sandbox.stepwell(&["rm", "flow-1", "flow-2"]).ok();
    assert_sound(&sandbox);
}

#[test]
fn a_removed_run_takes_its_child_runs_with_it() {
    let sandbox = flow();
    sandbox.write(
        "parent.toml",
        "name = \"parent\"\n[[step]]\nid = \"child\"\nkind = \"workflow\"\nwith = { workflow = \"flow.toml\" }\n",
    );
    sandbox.stepwell(&["run", "parent.toml"]).ok();
    sandbox.stepwell(&["keep", "parent-1.child"]).ok();
    sandbox.stepwell(&["rm", "parent"]).exits(2).says(&["is kept"]);
    sandbox.stepwell(&["keep", "parent-1.child", "--undo"]).ok();
    sandbox.stepwell(&["keep", "parent"]).ok();
    let kept = sandbox.stepwell(&["gc", "--keep-runs", "0", "--output", "json"]).ok().json();
    assert_eq!(kept["pruned"], serde_json::json!([]), "a kept run keeps its child runs");
    sandbox.stepwell(&["keep", "parent", "--undo"]).ok();
    let done = sandbox.stepwell(&["rm", "parent", "--output", "json"]).ok().json();
    assert_eq!(done["pruned"].as_array().unwrap().len(), 2, "{done}");
    assert_sound(&sandbox);
}

#[test]
fn gc_names_what_would_go_and_failed_runs_go_first() {
    let sandbox = flow();
    run(&sandbox, "good");
    run(&sandbox, "better");
    for text in ["typo", "typo2"] {
        sandbox
            .stepwell(&["run", "flow.toml", "-S", "fail=true", "-S", &format!("text={text}"), "--tag", "bad"])
            .exits(3);
    }
    let plan = sandbox.stepwell(&["gc", "--keep-runs", "2", "--dry-run"]).ok();
    for word in ["would remove 2 runs", "flow-3", "flow-4", "failed", "bad", "RESULT"] {
        assert!(plan.stdout.contains(word), "{word}: {}", plan.stdout);
    }
    assert!(plan.stderr.contains("stepwell keep RUN"), "{}", plan.stderr);
    sandbox.stepwell(&["gc", "--keep-runs", "2"]).ok();
    assert_eq!(names(&sandbox.stepwell(&["list", "--output", "json"]).ok().json()), ["flow-2", "flow-1"]);
    sandbox.stepwell(&["keep", "flow-1"]).ok();
    let plan = sandbox.stepwell(&["gc", "--keep-runs", "0", "--dry-run", "--output", "json"]).ok().json();
    assert_eq!(names(&plan), ["flow-2"]);
    let result = serde_json::json!({ "step": "judge", "name": "val_loss", "value": 2.5 });
    assert_eq!(plan["runs"][0]["result"], result, "{plan}");
    assert_sound(&sandbox);
}

#[test]
fn gc_keeps_the_best_by_a_value() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "fit.toml",
        "name = \"fit\"\n[params]\nloss = 1.0\n[[step]]\nid = \"eval\"\nkind = \"command\"\n\
         with.shell = 'echo \"{\\\"loss\\\": $LOSS}\" > \"$STEPWELL_VALUES\"'\nwith.env = { LOSS = \"{{ params.loss }}\" }\n",
    );
    for loss in ["3.0", "1.5", "2.0", "9.0"] {
        sandbox.stepwell(&["run", "fit.toml", "-S", &format!("loss={loss}")]).ok();
    }
    sandbox.stepwell(&["gc", "--keep-best", "2"]).exits(2).says(&["--by eval.bits_per_byte"]);
    sandbox
        .stepwell(&["gc", "--keep-best", "2", "--by", "eval.lost"])
        .exits(2)
        .says(&["no ended run has", "STEP.VALUE"]);
    let best = ["gc", "--keep-best", "2", "--by", "eval.loss"];
    let plan = sandbox.stepwell(&[&best[..], &["--dry-run"]].concat()).ok().stdout;
    assert!(plan.starts_with("would remove 2 runs\n") && plan.contains("eval loss 9.0000"), "{plan}");
    let max = sandbox.stepwell(&[&best[..], &["--goal", "max", "--dry-run", "--output", "json"]].concat()).ok().json();
    assert_eq!(names(&max), ["fit-2", "fit-3"]);
    sandbox.write("stepwell.toml", "[retention]\nkeep_best = { by = \"eval.loss\", count = 2 }\n");
    let done = sandbox.stepwell(&["gc", "--output", "json"]).ok().json();
    assert_eq!(names(&done), ["fit-1", "fit-4"]);
    assert_sound(&sandbox);
}

#[test]
fn a_long_plan_of_gc_is_one_screen() {
    let sandbox = Sandbox::new();
    sandbox.write("n.toml", "name = \"n\"\n[[step]]\nid = \"a\"\nkind = \"noop\"\n");
    for _ in 0..25 {
        sandbox.stepwell(&["run", "n.toml", "--detach"]).ok();
    }
    sandbox.stepwell(&["worker", "--exit-when-idle"]).ok();
    let plan = sandbox.stepwell(&["gc", "--keep-runs", "0", "--dry-run"]).ok().stdout;
    assert!(plan.lines().count() < 30 && plan.contains("and 5 more, with `--all`"), "{plan}");
    let all = sandbox.stepwell(&["gc", "--keep-runs", "0", "--dry-run", "--all"]).ok().stdout;
    assert_eq!(all.matches("succeeded").count(), 25, "{all}");
}

/// A kill at any instant leaves no reference to missing content, and what is left is collected later.
#[test]
fn a_killed_rm_loses_nothing() {
    let sandbox = flow();
    run(&sandbox, "base");
    for round in 0..8 {
        for text in ["a", "b", "base"] {
            let text = if text == "base" { text.to_owned() } else { format!("{text}{round}") };
            run(&sandbox, &text);
        }
        let newest = sandbox.query("SELECT name FROM run ORDER BY id DESC LIMIT 3");
        let names: Vec<&str> = newest.iter().map(String::as_str).collect();
        let mut rm = sandbox.start(&[&["rm"], names.as_slice()].concat());
        std::thread::sleep(Duration::from_millis(round * 8));
        let _ = rm.kill();
        rm.wait().unwrap();
        assert_sound(&sandbox);
    }
    sandbox.stepwell(&["gc", "--keep-runs", "1"]).ok();
    assert_sound(&sandbox);
    let clean = sandbox.stepwell(&["gc", "--dry-run", "--output", "json"]).ok().json();
    assert_eq!(clean["bytes"], 0, "{clean}");
}

#[test]
fn a_backup_with_artifacts_has_logs() {
    let sandbox = flow();
    run(&sandbox, "one");
    sandbox.stepwell(&["db", "backup", "bare"]).ok();
    sandbox.stepwell(&["db", "backup", "copy", "--artifacts"]).ok();
    assert_eq!(sandbox.stepwell(&["logs", "last", "make", "--state-dir", "copy"]).ok().stdout, SAID);
    fs::remove_dir_all(sandbox.state()).unwrap();
    sandbox.stepwell(&["db", "restore", "copy"]).ok();
    assert_eq!(sandbox.stepwell(&["logs", "last", "make"]).ok().stdout, SAID);
    assert_sound(&sandbox);
}

#[test]
fn every_verb_says_that_a_run_was_removed() {
    let sandbox = flow();
    run(&sandbox, "one");
    sandbox.stepwell(&["rm", "last"]).ok();
    for verb in [
        "logs flow-1",
        "logs flow-1 make",
        "explain flow-1",
        "artifact ls flow-1",
        "artifact show flow-1/make/file",
        "artifact get flow-1/make/file out",
        "artifact provenance flow-1/make/file",
        "artifact verify flow-1",
        #[cfg(feature = "train")]
        "generate flow-1",
        "pause flow-1",
        "resume flow-1",
        "cancel flow-1",
        "retry flow-1",
        "rerun flow-1 --from-step make",
        "fork flow-1 --at make",
        "approve flow-1 make",
        "signal flow-1 go",
        "keep flow-1",
        "rm flow-1",
    ] {
        let words: Vec<&str> = verb.split(' ').collect();
        let said = sandbox.stepwell(&words);
        assert!(said.code == 6 && said.stderr.contains("was removed on"), "{verb}: {}\n{}", said.code, said.stderr);
    }
    let shown = sandbox.stepwell(&["show", "flow-1"]).ok().stdout;
    assert!(shown.contains("only its history is left"), "{shown}");
    let watched = sandbox.stepwell(&["watch", "flow-1"]).ok().says(&["was removed on"]);
    assert!(watched.stdout.contains("succeeded"), "its events are left: {}", watched.stdout);
    // Tags and notes of a removed run stay and can be changed.
    sandbox.stepwell(&["tag", "flow-1", "gone"]).ok();
}

#[test]
fn a_foreground_engine_removes_runs_of_others_and_not_its_own() {
    let sandbox = flow();
    run(&sandbox, "one");
    sandbox.write("wait.toml", "name = \"wait\"\n[[step]]\nid = \"a\"\nkind = \"approval\"\nwith.prompt = \"?\"\n");
    let mut engine = sandbox.start(&["run", "wait.toml"]);
    eventually("the run waits", || sandbox.query_count("step WHERE status = 'waiting'") == 1);
    sandbox.stepwell(&["rm", "flow", "--dry-run"]).ok();
    sandbox.stepwell(&["rm", "wait"]).exits(2).says(&["stepwell cancel"]);
    sandbox.stepwell(&["rm", "flow"]).ok();
    signal(engine.id(), "INT");
    engine.wait().unwrap();
    sandbox.stepwell(&["rm", "wait"]).exits(2).says(&["stepwell cancel"]);
    assert_sound(&sandbox);
}
