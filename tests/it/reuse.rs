//! Submission, reuse by content, and explanations (rows E1 to E4).

use crate::harness::Sandbox;

/// Three steps: `a` reads a file, `b` uses `a`, `c` stands alone.
const PIPELINE: &str = r#"
name = "pipeline"
[params]
suffix = "x"

[[step]]
id = "a"
kind = "command"
with = { shell = "cat \"$SOURCE\" > \"$STEPWELL_OUTPUT_DIR/out\"; echo ran >> \"$LEDGER\"", env = { SOURCE = "SOURCE_PATH", LEDGER = "LEDGER_PATH.a" }, inputs = ["SOURCE_PATH"], outputs = { out = "out" } }

[[step]]
id = "b"
kind = "command"
with = { shell = "{ cat \"$A\"; echo \"$SUFFIX\"; } > \"$STEPWELL_OUTPUT_DIR/out\"; echo ran >> \"$LEDGER\"", env = { A = "{{ steps.a.outputs.out }}", SUFFIX = "{{ params.suffix }}", LEDGER = "LEDGER_PATH.b" }, outputs = { out = "out" } }

[[step]]
id = "c"
kind = "command"
with = { shell = "echo c > \"$STEPWELL_OUTPUT_DIR/out\"; echo ran >> \"$LEDGER\"", env = { LEDGER = "LEDGER_PATH.c" }, outputs = { out = "out" } }
"#;

fn pipeline() -> Sandbox {
    let sandbox = Sandbox::new();
    let source = sandbox.write("source.txt", "one\n");
    let text = PIPELINE
        .replace("SOURCE_PATH", source.to_str().unwrap())
        .replace("LEDGER_PATH", sandbox.path("ledger").to_str().unwrap());
    sandbox.write("pipeline.toml", text);
    sandbox
}

/// Counts the executions of each step.
fn ledger(sandbox: &Sandbox) -> [usize; 3] {
    ["a", "b", "c"].map(|step| {
        let path = sandbox.path(&format!("ledger.{step}"));
        std::fs::read_to_string(path).unwrap_or_default().lines().count()
    })
}

#[test]
fn an_equal_run_reuses_every_step() {
    let sandbox = pipeline();
    sandbox.stepwell(&["run", "pipeline.toml"]).ok();
    let first = sandbox.digests();
    sandbox.stepwell(&["run", "pipeline.toml"]).ok();
    assert_eq!(ledger(&sandbox), [1, 1, 1]);
    assert_eq!(sandbox.digests(), first);
    let why = sandbox.stepwell(&["explain", "last", "b"]).ok().stdout;
    assert!(why.contains("nothing was run"), "{why}");
    sandbox.stepwell(&["run", "pipeline.toml", "--no-reuse"]).ok();
    assert_eq!(ledger(&sandbox), [2, 2, 2]);
}

#[test]
fn one_changed_param_reruns_its_step_and_descendants_only() {
    let sandbox = pipeline();
    sandbox.stepwell(&["run", "pipeline.toml"]).ok();
    sandbox.stepwell(&["run", "pipeline.toml", "-S", "suffix=y"]).ok();
    assert_eq!(ledger(&sandbox), [1, 2, 1]);
    let why = sandbox.stepwell(&["explain", "last", "b"]).ok().stdout;
    assert!(why.contains("params.suffix") && why.contains('x') && why.contains('y'), "{why}");
}

#[test]
fn one_changed_input_byte_reruns_its_reader_and_descendants_only() {
    let sandbox = pipeline();
    sandbox.stepwell(&["run", "pipeline.toml"]).ok();
    sandbox.write("source.txt", "onE\n");
    sandbox.stepwell(&["run", "pipeline.toml"]).ok();
    assert_eq!(ledger(&sandbox), [2, 2, 1]);
    let why = sandbox.stepwell(&["explain", "last"]).ok().stdout;
    assert!(why.contains("source.txt") && why.contains("changed"), "{why}");
}

#[test]
fn an_idempotency_key_gives_one_run() {
    let sandbox = pipeline();
    let submit = || {
        let run =
            sandbox.stepwell(&["run", "pipeline.toml", "--idempotency-key", "k1", "--detach", "--output", "json"]);
        run.ok().json()["run"]["id"].as_str().unwrap().to_owned()
    };
    assert_eq!(submit(), submit());
    assert_eq!(sandbox.query("SELECT count(*) FROM run"), ["1"]);
}

#[test]
fn a_submitted_run_waits_for_a_worker() {
    let sandbox = pipeline();
    sandbox.stepwell(&["run", "pipeline.toml", "--detach"]).ok();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(sandbox.show()["run"]["status"], "pending");
    let why = sandbox.stepwell(&["explain", "last", "b"]).ok().stdout;
    assert!(why.contains("waits for `a`"), "{why}");
    sandbox.stepwell(&["worker", "--exit-when-idle"]).ok();
    assert_eq!(sandbox.show()["run"]["status"], "succeeded");
}

#[test]
fn the_name_of_an_active_run_is_refused() {
    let sandbox = pipeline();
    sandbox.stepwell(&["run", "pipeline.toml", "--detach", "--name", "mine"]).ok();
    let refused = sandbox.stepwell(&["run", "pipeline.toml", "--name", "mine"]);
    assert_ne!(refused.code, 0);
    refused.says(&["mine", "hint:"]);
    assert_eq!(sandbox.query("SELECT count(*) FROM run"), ["1"]);
}

#[test]
fn a_skipped_step_takes_its_descendants_with_it() {
    let sandbox = pipeline();
    sandbox.stepwell(&["run", "pipeline.toml", "--skip", "a"]).ok();
    assert_eq!(ledger(&sandbox), [0, 0, 1]);
    sandbox.stepwell(&["run", "pipeline.toml", "--skip", "z"]).exits(2).says(&["`z`", "a, b, c"]);
}

#[test]
fn a_fan_out_runs_over_a_list_known_at_run_time() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "fan.toml",
        r#"
name = "fan"
[[step]]
id = "list"
kind = "command"
with = { shell = "echo '{\"names\": [\"x\", \"y\", \"z\"]}' > \"$STEPWELL_VALUES\"" }
[[step]]
id = "each"
kind = "command"
for_each = "steps.list.values.names"
with = { shell = "echo \"$NAME\" > \"$STEPWELL_OUTPUT_DIR/out\"", env = { NAME = "{{ item }}" }, outputs = { out = "out" } }
[[step]]
id = "count"
kind = "noop"
with = { values = { n = "{{ steps.each.outputs.out | length }}" } }
"#,
    );
    sandbox.stepwell(&["run", "fan.toml"]).ok();
    let show = sandbox.show();
    let ids: Vec<&str> = show["steps"].as_array().unwrap().iter().map(|step| step["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["list", "each", "each[0]", "each[1]", "each[2]", "count"]);
    assert_eq!(show["steps"][5]["values"]["n"], 3);
    assert_eq!(
        sandbox.stepwell(&["artifact", "show", "last/each[1]/out"]).ok().stdout.trim().lines().last(),
        Some("y")
    );
}

/// The step has no `inputs`: the command line names the file.
#[test]
fn an_edited_script_is_run_again() {
    let sandbox = Sandbox::new();
    sandbox.write("p.sh", "echo one > \"$STEPWELL_OUTPUT_DIR/o\"\n");
    sandbox.write(
        "w.toml",
        "name = \"w\"\n[[step]]\nid = \"a\"\nkind = \"command\"\nwith = { argv = [\"sh\", \"p.sh\"], cwd = \".\", outputs = { o = \"o\" } }\n",
    );
    let made = || {
        sandbox.stepwell(&["run", "w.toml"]).ok();
        sandbox.stepwell(&["artifact", "show", "last/a/o"]).ok().stdout
    };
    assert!(made().contains("one"));
    sandbox.write("p.sh", "echo two > \"$STEPWELL_OUTPUT_DIR/o\"\n");
    assert!(made().contains("two"));
    let why = sandbox.stepwell(&["explain", "last", "a"]).ok().stdout;
    assert!(why.contains("the content of `./p.sh` changed"), "{why}");
    assert!(made().contains("two"));
    assert!(sandbox.stepwell(&["explain", "last", "a"]).ok().stdout.contains("nothing was run"));
}

#[test]
fn an_input_that_changes_while_its_program_runs_is_read_again() {
    let sandbox = Sandbox::new();
    sandbox.write("in.txt", "one\n");
    sandbox.write(
        "w.toml",
        "name = \"w\"\n[[step]]\nid = \"a\"\nkind = \"command\"\nretry = { maximum_attempts = 3, initial_interval = 0 }\n\
         with = { cwd = \".\", inputs = [\"in.txt\"], outputs = { o = \"o\" }, shell = '''\n\
         cat in.txt > \"$STEPWELL_OUTPUT_DIR/o\"; [ $STEPWELL_ATTEMPT = 1 ] && echo two > in.txt; true''' }\n",
    );
    sandbox.stepwell(&["run", "w.toml"]).ok();
    let made = || sandbox.stepwell(&["artifact", "show", "last/a/o"]).ok().stdout;
    assert!(made().contains("two"));
    assert_eq!(sandbox.query("SELECT attempts FROM step"), ["2"]);
    // No outputs exist for the key of the first attempt, so nothing is reused.
    sandbox.write("in.txt", "one\n");
    sandbox.stepwell(&["run", "w.toml"]).ok();
    assert!(made().contains("two"));
    assert_eq!(std::fs::read_to_string(sandbox.path("in.txt")).unwrap(), "two\n");
}
