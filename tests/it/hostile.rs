//! Too deep or too large JSON and unreadable rows are reported, and block nothing else (P1.1, P2.8).

use rusqlite::Connection;

use crate::harness::{Sandbox, signal};

const DEEPEST: usize = 64;

fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

/// A run that waits for the signal `go`.
fn waiting() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("wait.toml", "name = \"wait\"\n[[step]]\nid = \"a\"\nkind = \"signal\"\nwith.name = \"go\"\n");
    sandbox.write("quick.toml", "name = \"quick\"\n[[step]]\nid = \"a\"\nkind = \"noop\"\n");
    sandbox.stepwell(&["run", "wait.toml", "--name", "wait", "--detach"]).ok();
    sandbox
}

fn change(sandbox: &Sandbox, sql: &str) {
    let database = Connection::open(sandbox.state().join("stepwell.db")).unwrap();
    assert_eq!(database.execute(sql, []).unwrap(), 1, "{sql}");
}

/// Checks that other runs still work.
#[track_caller]
fn assert_usable(sandbox: &Sandbox) {
    sandbox.stepwell(&["run", "quick.toml"]).ok();
    sandbox.stepwell(&["run", "wait.toml", "--name", "other", "--detach"]).ok();
    sandbox.stepwell(&["cancel", "other"]).ok();
    sandbox.stepwell(&["list"]).ok();
}

#[test]
fn a_payload_is_taken_up_to_its_depth() {
    let sandbox = waiting();
    for depth in [DEEPEST + 1, 126, 127, 128, 10_000] {
        let refused = sandbox.stepwell(&["signal", "wait", "go", "--payload", &nested(depth)]);
        refused.exits(2).says(&["nested deeper than 64 levels"]);
    }
    assert_usable(&sandbox);
    sandbox.stepwell(&["signal", "wait", "go", "--payload", &nested(DEEPEST)]).ok();
    sandbox.stepwell(&["worker", "--exit-when-idle"]).ok();
    assert_eq!(sandbox.query("SELECT status FROM run WHERE name = 'wait'"), ["succeeded"]);
    sandbox.stepwell(&["db", "check"]).ok();
}

#[test]
fn values_of_a_command_are_taken_up_to_their_depth_and_named_beyond() {
    let sandbox = Sandbox::new();
    let workflow = |depth: usize| {
        let write = format!("echo '{{\\\"x\\\": {}}}' > \\\"$STEPWELL_VALUES\\\"", nested(depth));
        format!(
            "name = \"deep\"\n[[step]]\nid = \"a\"\nkind = \"command\"\nwith.shell = \"{write}\"\n\
             [[step]]\nid = \"b\"\nkind = \"noop\"\nwith.values.y = \"{{{{ steps.a.values.x }}}}\"\n"
        )
    };
    for depth in [DEEPEST, 124, 125, 126, 5_000] {
        sandbox.write("deep.toml", workflow(depth));
        let failed = sandbox.stepwell(&["run", "deep.toml"]);
        failed.exits(3).says(&["$STEPWELL_VALUES", "nested deeper than 64 levels"]);
        sandbox.stepwell(&["db", "check"]).ok();
    }
    sandbox.write("deep.toml", workflow(DEEPEST - 1));
    sandbox.stepwell(&["run", "deep.toml"]).ok();
    sandbox.stepwell(&["db", "check"]).ok();
}

/// Each step wraps the values of the previous one in more lists.
#[test]
fn values_that_grow_from_step_to_step_end_where_they_could_not_be_stored() {
    let sandbox = Sandbox::new();
    let wrapped = |inner: &str| format!("{}{inner}{}", "[".repeat(50), "]".repeat(50));
    let text = format!(
        "name = \"grow\"\n[[step]]\nid = \"a\"\nkind = \"noop\"\nwith.values.x = {}\n\
         [[step]]\nid = \"b\"\nkind = \"noop\"\nwith.values.x = {}\n",
        wrapped("1"),
        wrapped("\"{{ steps.a.values.x }}\""),
    );
    sandbox.write("grow.toml", text);
    let failed = sandbox.stepwell(&["run", "grow.toml"]);
    failed.exits(3).says(&["the arguments of the step cannot be kept", "nested deeper than 96 levels"]);
    assert_eq!(sandbox.query("SELECT id || ' ' || status FROM step ORDER BY id"), ["a succeeded", "b failed"]);
    sandbox.stepwell(&["db", "check"]).ok();
}

#[test]
fn parameters_and_workflows_are_taken_up_to_their_depth() {
    let sandbox = Sandbox::new();
    let workflow = |list: &str| {
        format!(
            "name = \"w\"\n[params]\nlist = {list}\n[[step]]\nid = \"a\"\nkind = \"noop\"\nwith.values.x = \"{{{{ params.list }}}}\"\n"
        )
    };
    sandbox.write("w.toml", workflow("[]"));
    for depth in [DEEPEST + 1, 79, 81, 10_000] {
        let refused = sandbox.stepwell(&["run", "w.toml", "-S", &format!("list={}", nested(depth))]);
        refused.exits(2).says(&["`list`", "nested deeper than 64 levels"]);
    }
    sandbox.stepwell(&["run", "w.toml", "-S", &format!("list={}", nested(DEEPEST))]).ok();
    for depth in [DEEPEST, 70] {
        sandbox.write("deep.toml", workflow(&nested(depth)));
        sandbox
            .stepwell(&["workflow", "validate", "deep.toml"])
            .exits(2)
            .says(&["deep.toml:3", "nested deeper than 64 levels"]);
    }
    sandbox.write("deep.toml", workflow(&nested(5_000)));
    sandbox.stepwell(&["workflow", "validate", "deep.toml"]).exits(2).says(&["deep.toml:3"]);
    let keys = vec!["a"; 70].join(".");
    sandbox.write("deep.toml", format!("{}with.values.{keys} = 1\n", workflow("[]")));
    sandbox.stepwell(&["workflow", "validate", "deep.toml"]).exits(2).says(&["nested deeper than 64 levels"]);
    sandbox.stepwell(&["db", "check"]).ok();
}

/// The row looks like one from an older build or another program.
#[test]
fn a_request_that_cannot_be_read_is_answered() {
    let sandbox = waiting();
    let insert = |body: &str| {
        format!(
            "INSERT INTO request (run, kind, body, at)
             SELECT id, 'signal', '{body}', '2026-01-01T00:00:00.000Z' FROM run WHERE name = 'wait'"
        )
    };
    change(&sandbox, &insert(&format!(r#"{{"kind":"signal","name":"go","payload":{}}}"#, nested(127))));
    change(&sandbox, &insert(r#"{"kind":"dance"}"#));
    sandbox.stepwell(&["worker", "--exit-when-idle"]).ok();
    let refusals = sandbox.query("SELECT refusal FROM request WHERE done_at IS NOT NULL ORDER BY id");
    assert_eq!(refusals.len(), 2, "{refusals:?}");
    assert!(refusals[0].contains("nested deeper"), "{refusals:?}");
    assert!(refusals[1].contains("unknown variant `dance`"), "{refusals:?}");
    assert_usable(&sandbox);
    sandbox.stepwell(&["signal", "wait", "go"]).ok();
    sandbox.stepwell(&["worker", "--exit-when-idle"]).ok();
    assert_eq!(sandbox.query("SELECT status FROM run WHERE name = 'wait'"), ["succeeded"]);
}

#[test]
fn a_run_that_cannot_be_read_is_set_aside() {
    for damage in ["spec_digest = 'x'", "options = '{\"reuse\":7}'", "created_at = 'long ago'"] {
        let sandbox = waiting();
        change(&sandbox, &format!("UPDATE run SET {damage} WHERE name = 'wait'"));
        let worker = sandbox.stepwell(&["worker", "--exit-when-idle"]).ok();
        assert_eq!(worker.stderr.matches("is set aside").count(), 1, "{}", worker.stderr);
        let refused = sandbox.stepwell(&["signal", "wait", "go"]);
        assert_ne!(refused.code, 0, "{damage}: {}", refused.stdout);
        assert_usable(&sandbox);
        let listed = sandbox.stepwell(&["list"]).ok();
        assert!(listed.stdout.contains("damaged"), "{damage}: {}", listed.stdout);
        sandbox.stepwell(&["gc"]).exits(3);
        sandbox.stepwell(&["db", "check"]).exits(3);
    }
}

/// The attempts of the run are unknown, but their processes are found.
#[cfg(target_os = "linux")]
#[test]
fn processes_of_a_run_that_cannot_be_read_are_ended() {
    let sandbox = Sandbox::new();
    let started = sandbox.path("started");
    sandbox.write(
        "sleep.toml",
        format!(
            "name = \"sleep\"\n[[step]]\nid = \"a\"\nkind = \"command\"\nwith.shell = \"touch {}; exec setsid sleep 300\"\n",
            started.display()
        ),
    );
    sandbox.write("quick.toml", "name = \"quick\"\n[[step]]\nid = \"a\"\nkind = \"noop\"\n");
    let mut engine = sandbox.start(&["run", "sleep.toml", "--name", "sleep"]);
    crate::harness::eventually("the program starts", || started.exists());
    signal(engine.id(), "KILL");
    engine.wait().unwrap();
    change(&sandbox, "UPDATE run SET spec_digest = 'x' WHERE name = 'sleep'");
    sandbox.stepwell(&["run", "quick.toml"]).ok();
    let run = sandbox.query("SELECT id FROM run WHERE name = 'sleep'").remove(0);
    assert_eq!(crate::harness::processes_with(&format!("STEPWELL_ATTEMPT_ID={run}/")), Vec::<u32>::new());
}

#[test]
fn a_schedule_that_cannot_be_read_is_named_and_the_others_are_served() {
    let sandbox = waiting();
    for name in ["bad", "good"] {
        sandbox.stepwell(&["schedule", "add", name, "quick.toml", "--cron", "0 3 * * *"]).ok();
    }
    change(&sandbox, "UPDATE schedule SET options = '{\"catch_up\":7}' WHERE name = 'bad'");
    sandbox.stepwell(&["worker", "--exit-when-idle"]).ok().says(&["schedule `bad` is not served"]);
    let listed = sandbox.stepwell(&["schedule", "list"]).ok().says(&["schedule `bad` is damaged"]);
    assert!(listed.stdout.contains("good"), "{}", listed.stdout);
    sandbox.stepwell(&["schedule", "remove", "bad"]).ok();
    sandbox.stepwell(&["schedule", "show", "good"]).ok();
}

#[cfg(target_os = "linux")]
#[test]
fn a_state_in_a_path_of_any_bytes_runs_commands() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let sandbox = Sandbox::new();
    let state = sandbox.dir.path().join(OsStr::from_bytes(b"state \xff?%23"));
    let text = "name = \"c\"\n[[step]]\nid = \"a\"\nkind = \"command\"\nwith = { shell = \"echo hi > $STEPWELL_OUTPUT_DIR/o\", outputs = { o = \"o\" } }\n";
    sandbox.write("c.toml", text);
    for verb in [["run", "c.toml"].as_slice(), &["list"], &["show", "last"], &["db", "check"], &["gc"]] {
        let output = sandbox.command(verb).arg("--state-dir").arg(&state).output().unwrap();
        assert!(output.status.success(), "{verb:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
