//! Backup and restore, garbage collection and retention (row E17).

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::harness::{Sandbox, eventually, signal};

/// A file, a tree, a fan-out, and a step that commits `steps` checkpoints (if above 0).
const FLOW: &str = r#"
name = "flow"
[params]
text = "one"
steps = 0
[[step]]
id = "make"
kind = "command"
with = { shell = "echo \"$TEXT\" > \"$STEPWELL_OUTPUT_DIR/file\"; mkdir \"$STEPWELL_OUTPUT_DIR/tree\"; echo \"$TEXT a\" > \"$STEPWELL_OUTPUT_DIR/tree/a\"; echo b > \"$STEPWELL_OUTPUT_DIR/tree/b\"", env = { TEXT = "{{ params.text }}" }, outputs = { file = "file", tree = "tree" } }
[[step]]
id = "count"
kind = "command"
needs = ["make"]
with = { shell = "cd \"$STEPWELL_CHECKPOINT_DIR\"; n=0; [ -f last/n ] && read -r n < last/n; while [ \"$n\" -lt \"$STEPS\" ]; do n=$((n + 1)); mkdir -p next; echo \"$n\" > next/n; echo \"{\\\"last_step\\\": $n}\" > next.new; mv next.new next.ready; while [ -e next.ready ]; do sleep 0.005; done; done; echo \"$n $TEXT\" > \"$STEPWELL_OUTPUT_DIR/n\"", env = { STEPS = "{{ params.steps }}", TEXT = "{{ params.text }}" }, outputs = { n = "n" } }
"#;

fn flow() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("flow.toml", FLOW);
    sandbox
}

fn run(sandbox: &Sandbox, text: &str) {
    sandbox.stepwell(&["run", "flow.toml", "-S", &format!("text={text}")]).ok();
}

fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = walkdir::WalkDir::new(folder).into_iter().flatten();
    entries.filter(|entry| entry.file_type().is_file()).map(|entry| entry.path().to_owned()).collect()
}

#[track_caller]
fn assert_sound(sandbox: &Sandbox) {
    sandbox.stepwell(&["db", "check"]).ok();
    sandbox.stepwell(&["artifact", "verify"]).ok();
}

#[test]
fn a_backup_is_a_state_directory_and_is_never_overwritten() {
    let sandbox = flow();
    run(&sandbox, "one");
    sandbox.stepwell(&["db", "backup", "copy", "--artifacts"]).ok();
    sandbox.stepwell(&["db", "backup", "copy"]).exits(2).says(&["exists already"]);
    sandbox.stepwell(&["db", "check", "--state-dir", "copy"]).ok();
    sandbox.stepwell(&["artifact", "verify", "--state-dir", "copy"]).ok();
    let names: Vec<_> = fs::read_dir(sandbox.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().starts_with(".copy")), "{names:?}");
}

#[test]
fn a_backup_can_be_made_while_an_engine_commits() {
    let sandbox = flow();
    let mut engine = sandbox.start(&["run", "flow.toml", "-S", "steps=200"]);
    eventually("the first checkpoint", || sandbox.query_count("checkpoint") > 0);
    for number in 0..3 {
        sandbox.stepwell(&["db", "backup", &format!("copy-{number}"), "--artifacts"]).ok();
    }
    assert!(engine.try_wait().unwrap().is_none(), "the run ended before the backups were made");
    signal(engine.id(), "INT");
    engine.wait().unwrap();
    for number in 0..3 {
        let state = format!("copy-{number}");
        sandbox.stepwell(&["db", "check", "--state-dir", &state]).ok();
        sandbox.stepwell(&["artifact", "verify", "--state-dir", &state]).ok();
    }
}

#[test]
fn a_restored_state_is_that_of_the_backup_and_its_runs_resume() {
    let sandbox = flow();
    let mut engine = sandbox.start(&["run", "flow.toml", "-S", "steps=60"]);
    eventually("some checkpoints", || sandbox.query_count("checkpoint") > 1);
    sandbox.stepwell(&["db", "backup", "copy", "--artifacts"]).ok();
    sandbox.stepwell(&["db", "restore", "copy"]).exits(7).says(&["in use by engine process", "hint:"]);
    signal(engine.id(), "KILL");
    engine.wait().unwrap();
    let lost = sandbox.query("SELECT count(*) FROM event");
    fs::remove_dir_all(sandbox.state().join("artifacts/blobs")).unwrap();
    sandbox.stepwell(&["db", "restore", "copy"]).ok();
    assert_sound(&sandbox);
    let kept: Vec<_> = fs::read_dir(sandbox.state().join("backups")).unwrap().flatten().collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    let replaced = kept[0].path().to_str().unwrap().to_owned();
    sandbox.stepwell(&["db", "check", "--state-dir", &replaced]).ok();
    sandbox.stepwell(&["resume", "last"]).ok();
    assert_eq!(sandbox.show()["run"]["status"], "succeeded");
    assert!(lost[0].parse::<u64>().unwrap() > 0);
    assert_sound(&sandbox);
}

#[test]
fn a_restore_repairs_a_database_that_is_refused() {
    let sandbox = flow();
    run(&sandbox, "one");
    sandbox.stepwell(&["db", "backup", "copy"]).ok();
    let digests = sandbox.digests();
    fs::write(sandbox.state().join("stepwell.db"), vec![b'x'; 8192]).unwrap();
    sandbox.stepwell(&["list"]).exits(3);
    sandbox.stepwell(&["db", "restore", "copy"]).ok();
    assert_eq!(sandbox.digests(), digests);
    assert_sound(&sandbox);
}

#[test]
fn a_restore_takes_nothing_from_the_old_log() {
    let sandbox = flow();
    run(&sandbox, "one");
    sandbox.stepwell(&["db", "backup", "copy"]).ok();
    let mut engine = sandbox.start(&["run", "flow.toml", "-S", "steps=100000"]);
    eventually("some checkpoints", || sandbox.query_count("checkpoint") > 1);
    signal(engine.id(), "KILL");
    engine.wait().unwrap();
    let log = sandbox.state().join("stepwell.db-wal");
    let mut frames = fs::read(&log).unwrap();
    let last = frames.len() - 100;
    frames[last] ^= 1;
    fs::write(&log, frames).unwrap();
    sandbox.stepwell(&["run", "flow.toml"]).exits(3).says(&["lost committed events"]);
    sandbox.stepwell(&["db", "restore", "copy"]).ok();
    assert_eq!(sandbox.query("SELECT count(*) FROM run"), ["1"]);
    sandbox.stepwell(&["db", "check"]).ok();
    let backups = fs::read_dir(sandbox.state().join("backups")).unwrap().flatten();
    assert_eq!(backups.filter(|kept| kept.path().join("stepwell.db-wal").exists()).count(), 1, "the old log is kept");
}

/// A kill at any instant leaves the old state, the new one, or a refusal that another restore ends.
#[test]
fn a_killed_restore_is_whole_or_refused() {
    let sandbox = flow();
    run(&sandbox, "one");
    sandbox.stepwell(&["db", "backup", "copy", "--artifacts"]).ok();
    for round in 0..10 {
        run(&sandbox, "two");
        let mut restore = sandbox.start(&["db", "restore", "copy"]);
        std::thread::sleep(Duration::from_millis(round * 5));
        let _ = restore.kill();
        restore.wait().unwrap();
        let checked = sandbox.stepwell(&["db", "check"]);
        if checked.code != 0 {
            assert!(checked.stdout.contains("a restore of"), "{}", checked.stdout);
            sandbox.stepwell(&["db", "restore", "copy"]).ok();
        }
        assert_sound(&sandbox);
    }
}

#[test]
fn damaged_newer_and_missing_backups_are_refused_and_change_nothing() {
    let sandbox = flow();
    run(&sandbox, "one");
    for name in ["damaged", "newer", "shorter"] {
        sandbox.stepwell(&["db", "backup", name]).ok();
    }
    let open = |name: &str| rusqlite::Connection::open(sandbox.path(name).join("stepwell.db")).unwrap();
    open("damaged").execute("UPDATE event SET payload = replace(payload, 'make', 'take') WHERE seq = 2", []).unwrap();
    open("newer").pragma_update(None, "user_version", 99).unwrap();
    open("shorter").execute("DELETE FROM event WHERE seq = (SELECT max(seq) FROM event)", []).unwrap();
    let before = fs::read(sandbox.state().join("stepwell.db")).unwrap();
    sandbox.stepwell(&["db", "restore", "damaged"]).exits(3).says(&["damaged", "was not used"]);
    sandbox.stepwell(&["db", "restore", "newer"]).exits(7).says(&["schema version 99"]);
    sandbox.stepwell(&["db", "restore", "shorter"]).exits(3).says(&["lost committed events"]);
    sandbox.stepwell(&["db", "restore", "nothing"]).exits(6).says(&["no backup"]);
    assert!(fs::read(sandbox.state().join("stepwell.db")).unwrap() == before);
    assert_sound(&sandbox);
}

#[test]
fn an_unfinished_restore_is_refused_until_it_is_done_again() {
    let sandbox = flow();
    run(&sandbox, "one");
    sandbox.stepwell(&["db", "backup", "copy"]).ok();
    fs::write(sandbox.state().join("event-head"), "a restore was not finished\n").unwrap();
    sandbox.stepwell(&["run", "flow.toml"]).exits(3).says(&["restore", "interrupted", "db restore BACKUP"]);
    sandbox.stepwell(&["db", "restore", "copy"]).ok();
    assert_sound(&sandbox);
}

#[test]
fn gc_removes_what_nothing_refers_to_and_nothing_else() {
    let sandbox = flow();
    run(&sandbox, "one");
    let digests = sandbox.digests();
    let blobs = || files_below(&sandbox.state().join("artifacts/blobs"));
    let before = blobs();
    let stray = sandbox.write("stray", "stray");
    let digest = blake3::hash(b"stray").to_hex().to_string();
    let folder = sandbox.state().join("artifacts/blobs").join(&digest[..2]);
    fs::create_dir_all(&folder).unwrap();
    fs::copy(stray, folder.join(&digest)).unwrap();
    fs::write(sandbox.state().join("artifacts/tmp/left-over"), "12345").unwrap();
    let dry = sandbox.stepwell(&["gc", "--dry-run", "--output", "json"]).ok().json();
    assert_eq!((&dry["artifacts"]["files"], &dry["artifacts"]["bytes"]), (&1.into(), &5.into()), "{dry}");
    assert_eq!(blobs().len(), before.len() + 1);
    let done = sandbox.stepwell(&["gc", "--output", "json"]).ok().json();
    assert_eq!((&done["artifacts"]["files"], &done["temporary"]["bytes"]), (&1.into(), &5.into()), "{done}");
    assert_eq!(blobs(), before);
    assert_eq!(sandbox.digests(), digests);
    assert_sound(&sandbox);
}

#[test]
fn gc_works_beside_an_engine_and_refuses_after_one_died() {
    let sandbox = flow();
    let mut engine = sandbox.start(&["run", "flow.toml", "-S", "steps=100000"]);
    eventually("the first checkpoint", || sandbox.query_count("checkpoint") > 0);
    sandbox.stepwell(&["gc", "--dry-run"]).ok();
    sandbox.stepwell(&["gc"]).ok();
    assert_sound(&sandbox);
    signal(engine.id(), "KILL");
    engine.wait().unwrap();
    sandbox.stepwell(&["gc"]).exits(7).says(&["`count`", "engine that died", "stepwell cancel"]);
    sandbox.stepwell(&["cancel", "last"]).ok();
    sandbox.stepwell(&["gc"]).ok();
    assert_sound(&sandbox);
}

#[test]
fn a_damaged_manifest_stops_gc_before_it_removes_anything() {
    let sandbox = flow();
    run(&sandbox, "one");
    let tree = sandbox.digests().into_iter().find(|(name, _)| name == "make/tree").unwrap().1;
    let path = sandbox.state().join("artifacts/blobs").join(&tree[..2]).join(&tree);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "[]").unwrap();
    let before = files_below(&sandbox.state().join("artifacts"));
    sandbox.stepwell(&["gc"]).exits(3).says(&["make/tree", "cannot be read", "hint:"]);
    assert_eq!(files_below(&sandbox.state().join("artifacts")), before);
}

#[test]
fn pruned_runs_leave_their_log_and_shared_content() {
    let sandbox = flow();
    run(&sandbox, "one");
    let first = sandbox.show()["run"]["id"].as_str().unwrap().to_owned();
    let own = sandbox.digests();
    run(&sandbox, "two");
    run(&sandbox, "one");
    assert_eq!(sandbox.show()["steps"][0]["reused_from"], first.as_str(), "the last run uses the first one's outputs");
    let plan = sandbox.stepwell(&["gc", "--keep-runs", "1", "--dry-run", "--output", "json"]).ok().json();
    assert_eq!(plan["pruned"].as_array().unwrap().len(), 2);
    let done = sandbox.stepwell(&["gc", "--keep-runs", "1", "--output", "json"]).ok().json();
    assert_eq!(done["pruned"], plan["pruned"]);
    assert_eq!(done["bytes"], plan["bytes"]);
    assert!(done["artifacts"]["files"].as_u64().unwrap() > 0, "{done}");
    assert_eq!(sandbox.digests(), own, "what a kept run uses is kept");
    assert_sound(&sandbox);
    assert_eq!(sandbox.query(&format!("SELECT count(*) > 5 FROM event WHERE run = '{first}'")), ["1"]);
    assert_eq!(sandbox.query(&format!("SELECT count(*) FROM step WHERE run = '{first}'")), ["0"]);
    assert!(!sandbox.state().join("runs").join(&first).exists());
    let listed = sandbox.stepwell(&["list", "--output", "json"]).ok().json();
    assert_eq!(listed["runs"].as_array().unwrap().len(), 1);
    assert!(sandbox.stepwell(&["show", &first]).ok().stdout.contains("only its history is left"));
    // Nothing is reused from a pruned run.
    run(&sandbox, "two");
    assert!(sandbox.show()["steps"][0]["reused_from"].is_null());
    assert_sound(&sandbox);
}

#[test]
fn a_pruned_run_cannot_be_resumed() {
    let sandbox = flow();
    sandbox.write("broken.toml", FLOW.replace("n=0; [", "exit 1; ["));
    sandbox.stepwell(&["run", "broken.toml"]).exits(3);
    sandbox.stepwell(&["gc", "--keep-days", "1"]).ok();
    assert_eq!(sandbox.query("SELECT count(*) FROM step"), ["2"]);
    sandbox.stepwell(&["gc", "--keep-days", "0"]).ok();
    assert_eq!(sandbox.query("SELECT count(*) FROM step"), ["0"]);
    sandbox.stepwell(&["resume", "last"]).exits(6).says(&["was removed", "hint:"]);
    assert_sound(&sandbox);
}

#[test]
fn what_a_waiting_run_names_in_its_parameters_is_kept() {
    let sandbox = flow();
    run(&sandbox, "one");
    let file = sandbox.show()["steps"][0]["outputs"]["file"].clone();
    let text = format!(
        "name = \"reader\"\n[params]\ngiven = {{ digest = {}, size = {}, media_type = {} }}\n[[step]]\nid = \"a\"\nkind = \"command\"\nwith = {{ argv = [\"cat\", \"{{{{ params.given }}}}\"] }}\n",
        file["digest"], file["size"], file["media_type"]
    );
    sandbox.write("reader.toml", text);
    sandbox.stepwell(&["run", "reader.toml", "--detach"]).ok();
    let done = sandbox.stepwell(&["gc", "--keep-runs", "0", "--output", "json"]).ok().json();
    assert_eq!(done["pruned"].as_array().unwrap().len(), 1);
    assert!(done["artifacts"]["files"].as_u64().unwrap() > 0);
    sandbox.stepwell(&["resume", "last"]).ok();
}

/// The run that made the content is pruned; a run that has read it still has its provenance, and can run again.
#[test]
fn what_a_kept_run_has_read_is_kept() {
    let sandbox = flow();
    run(&sandbox, "one");
    let file = sandbox.show()["steps"][0]["outputs"]["file"].clone();
    let digest = file["digest"].as_str().unwrap();
    let text = format!(
        "name = \"reader\"\n[params]\ngiven = {{ digest = \"{digest}\", size = {}, media_type = {} }}\n[[step]]\nid = \"a\"\nkind = \"command\"\nwith = {{ argv = [\"cat\", \"{{{{ params.given }}}}\"] }}\n",
        file["size"], file["media_type"]
    );
    sandbox.write("reader.toml", text);
    sandbox.stepwell(&["run", "reader.toml"]).ok();
    run(&sandbox, "two");
    let done = sandbox.stepwell(&["gc", "--keep-runs", "1", "--output", "json"]).ok().json();
    assert_eq!(done["pruned"].as_array().unwrap().len(), 1, "{done}");
    assert!(done["artifacts"]["files"].as_u64().unwrap() > 0, "{done}");
    assert!(sandbox.state().join("artifacts/blobs").join(&digest[..2]).join(digest).exists(), "{digest}");
    sandbox.stepwell(&["rerun", "reader", "--from-step", "a"]).ok();
}

/// Only an argument of the remaining run names the tree and so keeps its files.
#[test]
fn a_tree_of_an_argument_that_cannot_be_read_stops_gc() {
    let sandbox = flow();
    run(&sandbox, "one");
    let tree = sandbox.show()["steps"][0]["outputs"]["tree"].clone();
    let digest = tree["digest"].as_str().unwrap();
    let text = format!(
        "name = \"reader\"\n[params]\ngiven = {{ digest = \"{digest}\", size = {}, media_type = {} }}\n[[step]]\nid = \"a\"\nkind = \"command\"\nwith = {{ argv = [\"ls\", \"{{{{ params.given }}}}\"] }}\n",
        tree["size"], tree["media_type"]
    );
    sandbox.write("reader.toml", text);
    sandbox.stepwell(&["run", "reader.toml"]).ok();
    run(&sandbox, "two");
    let blobs = sandbox.state().join("artifacts/blobs");
    let manifest = blobs.join(&digest[..2]).join(digest);
    let aside = sandbox.dir.path().join("manifest");
    fs::rename(&manifest, &aside).unwrap();
    // A folder in its place can be opened but not read.
    fs::create_dir(&manifest).unwrap();
    let before = files_below(&blobs);
    sandbox.stepwell(&["gc", "--keep-runs", "1"]).exits(3).says(&["an argument of run", "cannot be read", "hint:"]);
    assert_eq!(files_below(&blobs), before);
    fs::remove_dir(&manifest).unwrap();
    fs::rename(&aside, &manifest).unwrap();
    sandbox.stepwell(&["gc", "--keep-runs", "1"]).ok();
    sandbox.stepwell(&["rerun", "reader", "--from-step", "a"]).ok();
    // A missing tree keeps nothing, and stops nothing.
    fs::remove_file(&manifest).unwrap();
    sandbox.stepwell(&["gc"]).ok();
}

/// The parent still needs their outputs.
#[test]
fn child_runs_are_kept_while_their_parent_has_not_ended() {
    let sandbox = flow();
    sandbox.write(
        "parent.toml",
        r#"
name = "parent"
[[step]]
id = "child"
kind = "workflow"
with = { workflow = "flow.toml" }
[[step]]
id = "ask"
kind = "approval"
needs = ["child"]
with.prompt = "continue?"
[[step]]
id = "read"
kind = "command"
needs = ["ask"]
with.shell = "true"
"#,
    );
    let mut engine = sandbox.start(&["run", "parent.toml"]);
    eventually("the parent asks", || sandbox.query_count("step WHERE id = 'ask' AND status = 'waiting'") == 1);
    signal(engine.id(), "INT");
    engine.wait().unwrap();
    let done = sandbox.stepwell(&["gc", "--keep-runs", "0", "--output", "json"]).ok().json();
    assert_eq!(done["pruned"], serde_json::json!([]), "{done}");
    assert_eq!(sandbox.query_count("step WHERE id = 'count'"), 1, "the child has its steps");
    sandbox.stepwell(&["approve", "parent", "ask"]).ok();
    sandbox.stepwell(&["signal", "parent", "go", "--payload", "1"]).ok();
    sandbox.stepwell(&["resume", "parent"]).ok();
    let done = sandbox.stepwell(&["gc", "--keep-runs", "0", "--output", "json"]).ok().json();
    assert_eq!(done["pruned"].as_array().unwrap().len(), 2, "{done}");
    // The decision and the signal of the pruned run are gone too.
    sandbox.stepwell(&["db", "check"]).ok();
}

#[test]
fn the_policy_of_the_settings_spares_runs_that_have_not_ended() {
    let sandbox = flow();
    sandbox.write("stepwell.toml", "[retention]\nkeep_runs = 0\n");
    run(&sandbox, "one");
    sandbox.stepwell(&["run", "flow.toml", "--detach", "-S", "text=two"]).ok();
    let done = sandbox.stepwell(&["gc", "--output", "json"]).ok().json();
    assert_eq!(done["pruned"].as_array().unwrap().len(), 1, "{done}");
    sandbox.stepwell(&["resume", "last"]).ok();
    assert_sound(&sandbox);
    sandbox.write("stepwell.toml", "[retention]\nkeep_run = 0\n");
    sandbox.stepwell(&["gc"]).exits(2).says(&["keep_run", "stepwell.toml"]);
}

/// A kill at any instant leaves no reference to missing content.
#[test]
fn a_killed_gc_loses_nothing() {
    let sandbox = flow();
    for round in 0..8 {
        for text in ["a", "b", "c", "d"] {
            run(&sandbox, &format!("{text}{round}"));
        }
        let mut gc = sandbox.start(&["gc", "--keep-runs", "2"]);
        std::thread::sleep(Duration::from_millis(round * 10));
        let _ = gc.kill();
        gc.wait().unwrap();
        assert_sound(&sandbox);
    }
    sandbox.stepwell(&["gc", "--keep-runs", "2"]).ok();
    assert_sound(&sandbox);
    let clean = sandbox.stepwell(&["gc", "--dry-run", "--output", "json"]).ok().json();
    assert_eq!(clean["bytes"], 0, "{clean}");
}
