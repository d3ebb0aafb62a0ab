//! Messages are true: refusals before work starts, times, names, reasons, and hints that work.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use crate::harness::{Finished, Sandbox, eventually, signal};

fn step(id: &str, kind: &str, more: &str) -> String {
    format!("[[step]]\nid = \"{id}\"\nkind = \"{kind}\"\n{more}\n")
}

fn sandbox(steps: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let here = sandbox.dir.path().to_str().unwrap().to_owned();
    sandbox.write("w.toml", format!("name = \"w\"\n{steps}").replace("HERE", &here));
    sandbox
}

fn becomes_running(sandbox: &Sandbox, step: &str) {
    let row = format!("step WHERE id = '{step}' AND status = 'running'");
    eventually(&format!("{step} runs"), || sandbox.query_count(&row) == 1);
}

#[test]
fn what_cannot_work_is_refused_before_anything_is_submitted() {
    let make = step("make", "command", "with = { shell = \"true\", outputs = { shards = \"s\" } }");
    let sandbox = sandbox(&format!(
        "{make}{}{}{}",
        step("read", "command", "with = { argv = [\"cat\", \"{{ steps.make.outputs.shard }}\"] }"),
        step("gpu", "command", "resources = { gpu = 1 }\nwith.shell = \"true\""),
        step("empty", "command", "with = { argv = [] }"),
    ));
    let problems = [
        "step `make` (`command`) gives no output `shard`",
        "did you mean `shards`?",
        "asks for 1 of `gpu`, which is not configured",
        "`argv` is empty",
        "has 3 problems",
    ];
    for verb in [&["workflow", "validate", "w.toml"][..], &["run", "w.toml"], &["run", "w.toml", "--detach"]] {
        sandbox.stepwell(verb).exits(2).says(&problems);
    }
    sandbox.stepwell(&["schedule", "add", "s", "--cron", "0 3 * * *", "w.toml"]).exits(2).says(&problems);
    assert_eq!(sandbox.query_count("run") + sandbox.query_count("schedule"), 0);
    let refused = sandbox.stepwell(&["run", "w.toml", "--output", "json"]).exits(2);
    let error: serde_json::Value = serde_json::from_str(refused.stderr.trim()).unwrap();
    assert_eq!(error["error"]["problems"]["count"], 3);
    assert_eq!(error["error"]["problems"]["first"][0]["line"], 9);
    // Settings count: with the pool configured, one problem is gone.
    sandbox.write("stepwell.toml", "[pools]\ngpu = 1\n");
    sandbox.stepwell(&["workflow", "validate", "w.toml"]).exits(2).says(&["has 2 problems"]);
}

/// Replaces the built-in workflow, which trains for minutes.
const PRETRAIN: &str = "name = \"pretrain\"\n[params]\n# A file or a folder.\ncorpus = \"\"\n\
    steps = 3\nphases = []\n[[step]]\nid = \"import\"\nkind = \"noop\"\nwith.values = { corpus = \"{{ params.corpus }}\" }\n";

#[test]
fn text_is_no_workflow_and_training_on_it_is_one_command() {
    let sandbox = Sandbox::new();
    sandbox.write("workflows/pretrain.toml", PRETRAIN);
    sandbox.write("workflows/other.toml", PRETRAIN.replace("corpus", "shelf").replace("pretrain", "other"));
    sandbox.write("notes.txt", "[x = \n".repeat(20_000));
    sandbox.write("books/a.txt", "text");
    let big = format!("{}{}", "x".repeat(1 << 21), "[x = \n".repeat(200_000));
    sandbox.write("big.txt", &big);
    sandbox.stepwell(&["run", "big.txt"]).exits(2).says(&["`big.txt` is no workflow"]);
    for verb in [&["run", "notes.txt"][..], &["workflow", "validate", "notes.txt"], &["chaos", "notes.txt"]] {
        let refused = sandbox.stepwell(verb).exits(2);
        assert!(refused.stderr.len() < 300, "{}", refused.stderr);
        refused.says(&["`notes.txt` is no workflow", "`stepwell start-training notes.txt`"]);
    }
    sandbox.stepwell(&["run", "books"]).exits(2).says(&["`books` is no workflow"]);
    for text in ["notes.txt", "books/", "books/*.txt"] {
        sandbox.stepwell(&["start-training", text]).ok();
        assert_eq!(sandbox.show()["steps"][0]["values"]["corpus"], text);
    }
    sandbox.stepwell(&["start-training", "nowhere.txt"]).exits(6).says(&["no text or workflow `nowhere.txt`"]);
    sandbox
        .stepwell(&["start-training", "notes.text"])
        .exits(6)
        .says(&["did you mean `stepwell start-training notes.txt`?"]);
    // A workflow under another name is still a workflow.
    sandbox.write("mine.txt", PRETRAIN);
    sandbox.stepwell(&["run", "mine.txt"]).ok();
    // A param of another workflow, and a part of a param.
    sandbox
        .stepwell(&["run", "other", "-S", "corpus=notes.txt"])
        .exits(2)
        .says(&["`stepwell start-training notes.txt` trains on it with the workflow `pretrain`"]);
    let shown = sandbox.stepwell(&["workflow", "show", "pretrain", "--source"]).ok();
    assert_eq!(shown.stdout, PRETRAIN);
    let shown = sandbox.stepwell(&["workflow", "show", "pretrain"]).ok();
    assert!(shown.stdout.contains("  corpus  \"\"  text     A file or a folder.\n"), "{}", shown.stdout);
    let json = sandbox.stepwell(&["workflow", "show", "pretrain", "--output", "json"]).ok().json();
    assert_eq!(
        (json["params"][0]["comment"].as_str(), json["params"][1]["type"].as_str()),
        (Some("A file or a folder."), Some("integer"))
    );
    assert_eq!((json["steps"][0]["kind"].as_str(), json["text"].as_str()), (Some("noop"), Some(PRETRAIN)));
    assert!(sandbox.stepwell(&["workflow", "validate", "pretrain"]).ok().stdout.contains("phases"));
}

#[test]
fn a_broken_file_shows_ten_problems() {
    let sandbox = Sandbox::new();
    sandbox.write("w.toml", "x = = 1\n".repeat(500));
    let refused = sandbox.stepwell(&["run", "w.toml"]).exits(2);
    assert!(refused.stderr.lines().count() < 120, "{}", refused.stderr);
    refused.says(&["and 989 more", "has 999 problems"]);
}

#[test]
fn a_run_prints_its_own_events_and_a_worker_the_names_of_runs() {
    let sandbox = sandbox(&step("a", "command", "with.shell = \"[ -e HERE/go ] || sleep 600\""));
    let mut engine = sandbox.start(&["run", "w.toml", "--name", "one"]);
    becomes_running(&sandbox, "a");
    engine.kill().unwrap();
    engine.wait().unwrap();
    sandbox.write("go", "");
    let two = sandbox.stepwell(&["run", "w.toml", "--name", "two"]).ok();
    assert!(!two.stderr.contains("stopped"), "of another run:\n{}", two.stderr);
    assert!(two.stderr.contains("a  started\na  done\n"), "{}", two.stderr);
    sandbox.stepwell(&["run", "w.toml", "--name", "three", "--detach"]).ok();
    let worker = sandbox.stepwell(&["worker", "--exit-when-idle"]).ok();
    worker.says(&["one: a  done", "one: succeeded", "three: a  started", "three: succeeded"]);
}

const TRACEBACK: &str =
    "printf 'Traceback:\\\\n  File \\\"x.py\\\", line 3\\\\n    compute()\\\\nValueError: boom\\\\n'; exit 1";

#[test]
fn every_failed_step_is_told_once_and_whole() {
    let failing = format!("retry.maximum_attempts = 2\nretry.initial_interval = 0.01\nwith.shell = \"{TRACEBACK}\"");
    let sandbox = sandbox(&format!(
        "{}{}{}",
        step("one", "command", &failing),
        step("two", "command", "retry.maximum_attempts = 1\nwith.shell = \"exit 7\""),
        step("three", "noop", ""),
    ));
    let run = sandbox.stepwell(&["run", "w.toml"]).exits(3);
    let text = &run.stderr;
    assert!(text.contains("failed: 2 steps failed\nstep `one`: the command exited with code 1"), "{text}");
    assert!(text.contains("step `two`: the command exited with code 7"), "{text}");
    assert_eq!(text.matches("  File \"x.py\", line 3\n    compute()\nValueError: boom\n").count(), 1, "{text}");
    assert!(
        text.contains("one  attempt failed: the command exited with code 1; its last lines:\n    Traceback"),
        "{text}"
    );
    assert_eq!(text.matches("\n    ValueError: boom\n").count(), 2, "at each attempt: {text}");
    let show = sandbox.stepwell(&["show"]).ok().stdout;
    assert_eq!(show.matches("            File \"x.py\", line 3\n              compute()\n").count(), 1, "{show}");
    assert!(show.contains("failure   step `one`:") && show.contains("failure   step `two`:"), "{show}");
    let row = show.lines().find(|line| line.starts_with("one ")).unwrap();
    assert!(row.contains("failed") && row.ends_with("ValueError: boom"), "{row}");
}

/// Returns a cell of the table that `show` prints, by step and column.
fn cell(show: &Finished, step: &str, index: usize) -> String {
    let row = show.stdout.lines().find(|line| line.starts_with(step)).expect(step);
    row.split("  ").filter(|cell| !cell.trim().is_empty()).nth(index).unwrap_or_default().trim().to_owned()
}

fn line<'a>(show: &'a Finished, name: &str) -> Option<&'a str> {
    show.stdout.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

#[test]
fn times_are_those_of_work() {
    let sandbox = sandbox(&step("slow", "command", "with.shell = \"[ -e HERE/go ] || exec sleep 600\""));
    let mut engine = sandbox.start(&["run", "w.toml"]);
    becomes_running(&sandbox, "slow");
    std::thread::sleep(Duration::from_millis(300));
    let running = sandbox.stepwell(&["show"]).ok();
    assert!(!["0.0s", ""].contains(&line(&running, "time").unwrap()), "{}", running.stdout);
    assert!(!["0.0s", ""].contains(&cell(&running, "slow", 4).as_str()), "{}", running.stdout);
    engine.kill().unwrap();
    engine.wait().unwrap();
    let died = sandbox.stepwell(&["show"]).ok();
    std::thread::sleep(Duration::from_millis(300));
    let later = sandbox.stepwell(&["show"]).ok();
    assert_eq!(died.stdout, later.stdout, "a dead run works no more");
    assert_eq!(line(&died, "left"), None);
    let mut engine = sandbox.start(&["resume"]);
    eventually("the second attempt", || sandbox.query_count("step WHERE status = 'running' AND attempts = 2") == 1);
    signal(engine.id(), "INT");
    engine.wait().unwrap();
    sandbox.write("go", "");
    std::thread::sleep(Duration::from_millis(400));
    sandbox.stepwell(&["resume"]).ok();
    let seconds = "SELECT (julianday(finished_at) - julianday(started_at)) * 86400 - compute_ms / 1000.0 FROM step";
    let idle: f64 = sandbox.query(seconds).concat().parse().unwrap();
    assert!(idle > 0.38, "the pause between the attempts is no work: {idle}");
    let step = &sandbox.show()["steps"][0];
    let shown = cell(&sandbox.stepwell(&["show"]).ok(), "slow", 4);
    assert_eq!(shown, format!("{:.1}s", step["compute_seconds"].as_f64().unwrap()));
}

#[test]
fn a_share_and_a_step_are_of_the_same_moment() {
    let program = "printf '1 10 pages\\\\n' > $STEPWELL_PROGRESS; sleep 0.3; printf '4 10 pages\\\\n' > $STEPWELL_PROGRESS; \
        sleep 0.3; mkdir -p $STEPWELL_CHECKPOINT_DIR/next; \
        printf '{\\\"last_step\\\":4}' > $STEPWELL_CHECKPOINT_DIR/next.tmp; \
        mv $STEPWELL_CHECKPOINT_DIR/next.tmp $STEPWELL_CHECKPOINT_DIR/next.ready; exec sleep 600";
    let sandbox = sandbox(&step("count", "command", &format!("with.shell = \"{program}\"")));
    let mut engine = sandbox.start(&["run", "w.toml"]);
    eventually("the checkpoint", || sandbox.query_count("checkpoint") == 1);
    let row = sandbox.stepwell(&["show"]).ok();
    assert!(row.stdout.contains("40 %, step 4"), "{}", row.stdout);
    engine.kill().unwrap();
    engine.wait().unwrap();
}

#[test]
fn show_lists_what_steps_gave_and_artifacts_have_names_that_work() {
    let give = "with = { shell = \"echo '{\\\"rows\\\": 3}' > $STEPWELL_VALUES; echo x > out\", outputs = { file = \"out\" } }";
    let sandbox = sandbox(&format!("{}[params]\nlr = 0.5\n", step("give", "command", give)));
    sandbox.stepwell(&["run", "w.toml"]).ok();
    let show = sandbox.stepwell(&["show"]).ok().stdout;
    assert!(show.contains("1 param has its default"), "{show}");
    let show = sandbox.stepwell(&["show", "--all"]).ok().stdout;
    for part in ["values.rows", "outputs.file", "2 B", "lr     0.5"] {
        assert!(show.contains(part), "`{part}` is not in:\n{show}");
    }
    let listed = sandbox.stepwell(&["artifact", "ls"]).ok().stdout;
    let name = listed.lines().nth(1).unwrap().split_whitespace().next().unwrap();
    assert!(sandbox.stepwell(&["artifact", "show", name]).ok().stdout.contains('x'));
    sandbox.stepwell(&["artifact", "show", "give/file"]).ok();
}

#[test]
fn what_is_not_there_is_named() {
    let sandbox = sandbox(&step("a", "noop", ""));
    for verb in [&["list"][..], &["schedule", "list"], &["show"]] {
        sandbox.stepwell(verb).exits(6).says(&["there is no state directory", "/state`"]);
    }
    sandbox.stepwell(&["run", "w.toml", "--name", "gone"]).ok();
    sandbox.stepwell(&["gc", "--keep-runs", "0"]).ok();
    for verb in [&["logs"][..], &["explain"], &["artifact", "ls"], &["artifact", "show", "gone/a/b"], &["retry"]] {
        sandbox.stepwell(verb).exits(6).says(&["was removed"]);
    }
    assert!(sandbox.stepwell(&["list"]).ok().stdout.contains("no runs"));
}

#[test]
fn explain_names_the_run_the_param_and_the_items() {
    let each = "for_each = \"params.names\"\nwith = { shell = \"true\", env = { N = \"{{ item }}\", LR = \"{{ params.lr }}\" } }";
    let sandbox = sandbox(&format!(
        "{}{}[params]\nlr = 0.5\nnames = [\"a\", \"b\", \"c\"]\n",
        step("each", "command", each),
        step("file", "corpus.import", "with = { source = \"HERE/texts\" }"),
    ));
    sandbox.write("texts/a.txt", "one");
    sandbox.stepwell(&["run", "w.toml", "--name", "first"]).ok();
    sandbox.write("texts/a.txt", "two");
    sandbox.stepwell(&["run", "w.toml", "-S", "lr=0.25"]).ok();
    let why = sandbox.stepwell(&["explain"]).ok().stdout;
    let changed =
        "each[0], each[1], each[2] have succeeded\n  it ran because `params.lr` changed 0.5 -> 0.25 since run first (";
    assert_eq!(why.matches(changed).count(), 1, "{why}");
    assert!(why.contains("the content of `a.txt` changed "), "{why}");
    assert!(!why.contains("fingerprint"), "{why}");
    sandbox.stepwell(&["run", "w.toml", "-S", "names=[\"a\",\"x\",\"c\"]", "-S", "lr=0.25"]).ok();
    let why = sandbox.stepwell(&["explain", "last", "each[1]"]).ok().stdout;
    assert!(why.contains("its item changed \"b\" -> \"x\" since run w-2 ("), "{why}");
}

#[test]
fn explain_tells_slots_from_pools() {
    let each = "for_each = \"range(3)\"\nresources = { gpu = 1 }\nwith.argv = [\"sleep\", \"600\"]";
    let sandbox = sandbox(&step("each", "command", each));
    sandbox.write("stepwell.toml", "slots = 2\n[pools]\ngpu = [\"gpu:0\", \"gpu:1\", \"gpu:2\"]\n");
    let mut engine = sandbox.start(&["run", "w.toml"]);
    eventually("two run", || sandbox.query_count("step WHERE status = 'running'") == 2);
    let why = sandbox.stepwell(&["explain", "last", "each[2]"]).ok().stdout;
    assert!(
        why.contains(
            "waits for a free slot: 2 of the engine's 2 are in use (run w-1, step each[0]; run w-1, step each[1])"
        ),
        "{why}"
    );
    engine.kill().unwrap();
    engine.wait().unwrap();
    sandbox.write(
        "stepwell.toml",
        "[pools]\ngpu = [\"g:0\", \"g:1\", \"g:2\", \"g:3\", \"g:4\", \"g:5\", \"g:6\", \"g:7\"]\n",
    );
    let slots = sandbox.stepwell(&["doctor", "--output", "json"]).ok().json();
    let slots = slots["findings"].as_array().unwrap().iter().find(|found| found["name"] == "slots").unwrap().clone();
    let count: usize = slots["text"].as_str().unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(count >= 8, "{slots}");
}

#[test]
fn who_does_not_listen_is_waited_for_aloud() {
    let deaf = "with.shell = \"trap '' TERM; touch HERE/on; while :; do sleep 0.05; done\"";
    let sandbox = sandbox(&step("deaf", "command", deaf));
    let mut engine = sandbox.command(&["run", "w.toml"]).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    eventually("it runs", || sandbox.path("on").exists());
    signal(engine.id(), "INT");
    let mut lines = BufReader::new(engine.stderr.take().unwrap()).lines();
    let said = lines.by_ref().map_while(Result::ok).find(|line| line.contains("second Ctrl-C kills"));
    assert!(said.is_some_and(|line| line.contains("10 s")));
    signal(engine.id(), "INT");
    assert_eq!(engine.wait().unwrap().code(), Some(130));
    drop(lines);
    std::fs::remove_file(sandbox.path("on")).unwrap();
    let mut engine = sandbox.start(&["resume"]);
    eventually("it runs again", || sandbox.path("on").exists());
    let mut cancel = sandbox.command(&["cancel", "last"]).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(cancel.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "canceling: what does not end within 5 s of SIGTERM is killed\n");
    cancel.kill().unwrap();
    cancel.wait().unwrap();
    engine.kill().unwrap();
    engine.wait().unwrap();
}

#[test]
fn a_run_keeps_its_workflow_and_says_so_when_the_file_was_edited() {
    let sandbox = sandbox(&step("a", "command", "retry = 1\nwith.shell = \"exit 4\""));
    sandbox.stepwell(&["run", "w.toml", "--key", "k"]).exits(3);
    let note = "`w.toml` has changed since this run was submitted";
    let before = sandbox.stepwell(&["resume"]).exits(3);
    assert!(!before.stderr.contains("has changed"), "{}", before.stderr);
    sandbox.write("w.toml", "name = \"w\"\n[[step]]\nid = \"a\"\nkind = \"noop\"\n");
    for verb in [&["resume"][..], &["retry"], &["rerun", "last"], &["fork", "last", "--at", "a"]] {
        sandbox.stepwell(verb).exits(3).says(&[note, "`stepwell run w.toml` starts the edited one"]);
    }
    sandbox.stepwell(&["run", "w.toml", "--key", "k"]).exits(3).says(&["have changed since that submission"]);
    sandbox.stepwell(&["run", "w.toml"]).ok();
    let after = sandbox.stepwell(&["resume"]).ok();
    assert!(!after.stderr.contains("has changed"), "{}", after.stderr);
}

#[test]
fn files_that_nothing_keeps_are_told() {
    let sandbox = sandbox(&format!(
        "{}{}{}",
        step("lost", "shell", "with.run = \"echo 1 > model.pt; touch empty\""),
        step("each", "shell", "for_each = \"range(3)\"\nwith.run = \"echo 1 > item.txt\""),
        step("kept", "shell", "with = { run = \"echo 1 > a; echo 2 > b\", outputs = { a = \"a\" } }"),
    ));
    let run = sandbox.stepwell(&["run", "w.toml"]).ok();
    let run = run.says(&["lost  note: it left a file that no `outputs` names: `model.pt` (2 bytes)"]);
    let run = run.says(&["add `outputs = { model = \"model.pt\" }` to the step", "each[0]  note: it left a file"]);
    assert_eq!(run.stderr.matches("no `outputs` names").count(), 2, "{}", run.stderr);
}

#[test]
fn what_a_person_wants_to_know_at_the_end_is_there() {
    let value = r#"echo '{\"loss\": 0.125, \"more\": {\"x\": 1}}' > $STEPWELL_VALUES"#;
    let sandbox = sandbox(&format!(
        "{}{}",
        step("each", "shell", &format!("for_each = \"range(12)\"\nwith.run = \"\"\"{}\"\"\"", value.replace('\\', ""))),
        step("ok", "approval", "needs = [\"each\"]\nwith.prompt = \"Ship?\""),
    ));
    sandbox.stepwell(&["run", "w.toml", "--detach"]).ok().says(&["`stepwell worker` runs what is pending"]);
    let mut worker = sandbox.start(&["worker"]);
    eventually("it waits", || sandbox.query_count("step WHERE id = 'ok' AND status = 'waiting'") == 1);
    let detached = sandbox.stepwell(&["run", "w.toml", "--detach"]).ok();
    detached.says(&[&format!("hint: process {} runs it", worker.id())]);
    let refused = sandbox.stepwell(&["worker"]);
    refused.exits(7).says(&["that is `stepwell worker`, which ends only when it is stopped", "write a checkpoint"]);
    sandbox.stepwell(&["approve", "w-1", "ok", "--by", "mia", "--comment", "fine"]).ok();
    let watched = sandbox.stepwell(&["watch", "w-1"]).ok().stdout;
    for said in ["each[0].loss", "0.125", "and 2 more: `stepwell show w-1`"] {
        assert!(watched.contains(said), "{said}: {watched}");
    }
    let explained = sandbox.stepwell(&["explain", "w-1", "ok"]).ok().stdout;
    assert!(explained.contains("ok has succeeded\n  it was approved by mia at "), "{explained}");
    assert!(explained.contains(": fine"), "{explained}");
    let each = sandbox.stepwell(&["show", "w-1", "each"]).ok().stdout;
    assert!(each.contains("each[11]") && each.contains("loss=0.125"), "{each}");
    assert_eq!(sandbox.stepwell(&["show", "w-1", "each", "--json"]).ok().json()["step"]["items"][3]["id"], "each[3]");
    signal(worker.id(), "TERM");
    worker.wait().unwrap();
}

#[test]
fn a_failed_run_says_how_to_mend_it_and_a_changed_script_is_called_run() {
    let lines = "for i in 1 2 3 4 5 6 7; do echo line $i; done; exit 3";
    let sandbox = sandbox(&step("a", "shell", &format!("retry = 1\nwith.run = \"{lines}\"")));
    let failed = sandbox.stepwell(&["run", "w.toml"]).exits(3);
    let failed =
        failed.says(&["edit `w.toml` or the script, then `stepwell run w.toml`: steps that are equal are reused"]);
    failed.says(&["its last lines:\n    line 3\n    line 4\n    line 5\n    line 6\n    line 7\n"]);
    sandbox.write("w.toml", format!("name = \"w\"\n{}", step("a", "shell", "with.run = \"true\"")));
    sandbox.stepwell(&["run", "w.toml"]).ok();
    let told = sandbox.stepwell(&["explain", "last", "a"]).ok().stdout;
    assert!(told.contains("`run` changed"), "{told}");
    sandbox.stepwell(&["run", "w.toml"]).ok();
    let told = sandbox.stepwell(&["explain", "last", "a"]).ok().stdout;
    assert!(told.contains("a `shell` like this is never reused"), "{told}");
}

#[test]
fn patterns_choose_runs_to_remove_and_to_keep() {
    let sandbox = sandbox(&step("a", "command", "retry = 1\nwith.shell = \"exit {{ params.code }}\""));
    sandbox.write("w.toml", std::fs::read_to_string(sandbox.path("w.toml")).unwrap() + "[params]\ncode = 0\n");
    for (name, code) in [("reg-1", 0), ("reg-2", 1), ("reg-3", 0), ("other", 1)] {
        let run = sandbox.stepwell(&["run", "w.toml", "--name", name, "-S", &format!("code={code}")]);
        run.exits(3 * code);
    }
    sandbox.stepwell(&["rm", "x-*"]).exits(6).says(&["there are no runs with names that match 'x-*'"]);
    sandbox.stepwell(&["keep", "*-1"]).ok().says(&["1 run with names that match '*-1': reg-1"]);
    sandbox.stepwell(&["rm", "reg-*", "--dry-run"]).ok().says(&["run reg-1 is kept, so it stays", "reg-3, reg-2"]);
    sandbox.stepwell(&["rm", "--failed"]).ok().says(&["2 runs with a failure: other, reg-2"]);
    sandbox.stepwell(&["rm", "--failed"]).exits(6).says(&["there are no runs with a failure"]);
    sandbox.stepwell(&["rm", "reg-*"]).ok().says(&["1 run with names that match 'reg-*': reg-3"]);
    let left = sandbox.stepwell(&["list", "-o", "json"]).ok().json();
    assert_eq!(left["runs"].as_array().unwrap().len(), 1);
    sandbox.stepwell(&["rm"]).exits(2);
    sandbox.stepwell(&["gc", "--dry-run"]).ok().says(&["note: no rule says which runs go", "--keep-runs N"]);
}

#[test]
fn what_other_programs_call_it_works() {
    let sandbox = sandbox(&step("a", "command", "with.shell = \"echo hello\""));
    sandbox.stepwell(&["run", "w.toml"]).ok();
    sandbox.stepwell(&["pin", "w-1"]).ok();
    let kept = sandbox.stepwell(&["ps", "--kept", "-o", "json"]).ok().json();
    assert_eq!(kept["runs"][0]["name"], "w-1");
    assert!(sandbox.stepwell(&["list", "--limit", "1"]).ok().stdout.contains("KEPT"));
    sandbox.stepwell(&["unkeep", "w-1"]).ok();
    assert!(!sandbox.stepwell(&["list"]).ok().stdout.contains("KEPT"));
    sandbox.stepwell(&["approve"]).exits(2).says(&["no step waits for a person"]);
    assert!(sandbox.stepwell(&["compare", "w-1"]).ok().stdout.contains("succeeded"));
    assert_eq!(sandbox.stepwell(&["compare", "w-1", "--json"]).ok().json()["runs"].as_array().unwrap().len(), 1);
    sandbox.stepwell(&["logs", "w-1", "--attempt", "2"]).exits(6).says(&["there is no attempt 2: the last one is 1"]);
    assert!(sandbox.stepwell(&["logs", "w-1", "--attempt", "1"]).ok().stdout.contains("hello"));
    sandbox.stepwell(&["backup", "copy"]).ok().says(&["warning: the backup has no models", "--artifacts"]);
    sandbox.stepwell(&["rerun", "w-1"]).ok();
    assert_eq!(sandbox.show()["steps"][0]["attempts"], 1, "it ran again");
    sandbox.stepwell(&["rm", "w-1"]).ok();
    sandbox.stepwell(&["logs", "w-1"]).exits(6).says(&["was removed on"]);
}
