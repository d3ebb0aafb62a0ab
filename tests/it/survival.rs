//! Attempts and engines that freeze, escape, flood or run out of memory, and clocks that jump.

use std::process::{Child, Stdio};
use std::time::Duration;

use crate::harness::{MemoryGroup, Sandbox, eventually, processes_with, read, signal};

fn sandbox(workflow: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let here = sandbox.dir.path().to_str().unwrap().to_owned();
    sandbox.write("w.toml", workflow.replace("HERE", &here));
    sandbox
}

fn kill(mut engine: Child) {
    engine.kill().unwrap();
    engine.wait().unwrap();
}

fn one(sandbox: &Sandbox, sql: &str) -> String {
    sandbox.query(sql).pop().unwrap_or_default()
}

fn has_started(sandbox: &Sandbox, attempt: u32) -> bool {
    sandbox.query_count(&format!("attempt WHERE attempt = {attempt}")) > 0
}

/// Processes of any attempt of the newest run.
fn processes(sandbox: &Sandbox) -> Vec<u32> {
    processes_with(&format!("STEPWELL_ATTEMPT_ID={}/", one(sandbox, "SELECT id FROM run")))
}

/// Asserts that attempt 1 wrote nothing after attempt 2 had started.
#[track_caller]
fn assert_one_at_a_time(ledger: &str) {
    let second = ledger.find('2').expect("attempt 2 has written");
    assert!(ledger.starts_with('1') && !ledger[second..].contains('1'), "two attempts at once:\n{ledger}");
}

/// Each attempt writes its number repeatedly; the first one never ends.
const SCRIBE: &str = r#"
name = "scribe"
[[step]]
id = "a"
kind = "command"
timeout = { heartbeat = "1s" }
retry = { initial_interval = "1ms" }
[step.with]
outputs = { n = "n" }
shell = """
i=0
while [ $STEPWELL_ATTEMPT = 1 ] || [ $i -lt 40 ]; do i=$((i+1)); echo $STEPWELL_ATTEMPT >> HERE/ledger; sleep 0.05; done
echo $STEPWELL_ATTEMPT > $STEPWELL_OUTPUT_DIR/n
"""
"#;

#[test]
fn a_worker_that_thaws_after_twice_its_lease_changes_nothing() {
    let sandbox = sandbox(SCRIBE);
    let mut engine = sandbox.start(&["run", "w.toml"]);
    eventually("attempt 1 writes", || !read(&sandbox.path("ledger")).is_empty());
    eventually("its worker is known", || !one(&sandbox, "SELECT pid FROM step").starts_with("Null"));
    let group = format!("-{}", one(&sandbox, "SELECT pid FROM step"));
    let send =
        |name: &str| std::process::Command::new("kill").args([name, "--", &group]).stderr(Stdio::null()).status();
    assert!(send("-STOP").unwrap().success());
    std::thread::sleep(Duration::from_secs(2));
    eventually("the next attempt", || has_started(&sandbox, 2));
    let mark = format!("STEPWELL_ATTEMPT_ID={}/a/1", one(&sandbox, "SELECT id FROM run"));
    assert_eq!(processes_with(&mark), Vec::<u32>::new(), "attempt 2 was leased beside a frozen attempt 1");
    // Remaining processes of the group continue now.
    let _ = send("-CONT").unwrap();
    assert!(engine.wait().unwrap().success());
    assert_one_at_a_time(&read(&sandbox.path("ledger")));
    assert_eq!(one(&sandbox, "SELECT count(*) FROM event WHERE kind = 'step_succeeded'"), "1");
    assert_eq!(processes(&sandbox), Vec::<u32>::new());
}

#[test]
fn a_process_that_left_its_group_is_ended_before_the_step_is_leased_again() {
    let escape = "setsid sh -c '(while true; do echo 1 >> HERE/ledger; sleep 0.02; done) &' ; sleep 600";
    let stay = "for i in 1 2 3 4 5 6 7 8 9 10; do echo 2 >> HERE/ledger; sleep 0.05; done";
    let sandbox = sandbox(&format!(
        "name = \"escape\"\n[[step]]\nid = \"a\"\nkind = \"command\"\n[step.with]\nshell = \"\"\"\nif [ $STEPWELL_ATTEMPT = 1 ]; then {escape}; else {stay}; fi\n\"\"\"\n"
    ));
    let mut engine = sandbox.start(&["run", "w.toml"]);
    eventually("the escaped process writes", || !read(&sandbox.path("ledger")).is_empty());
    crate::harness::kill_with_workers(&mut engine);
    let before = read(&sandbox.path("ledger")).len();
    eventually("it has outlived its engine", || read(&sandbox.path("ledger")).len() > before + 20);
    sandbox.stepwell(&["resume", "last"]).ok();
    assert_one_at_a_time(&read(&sandbox.path("ledger")));
    assert_eq!(processes(&sandbox), Vec::<u32>::new());
}

#[test]
fn sigterm_lets_a_command_write_its_checkpoint() {
    let sandbox = sandbox(
        r#"
name = "grace"
[[step]]
id = "a"
kind = "command"
[step.with]
shell = """
cd $STEPWELL_CHECKPOINT_DIR
if [ -e last/n ]; then cp last/n HERE/resumed; exit 0; fi
save() { sleep 2; mkdir next; echo 7 > next/n; echo '{"last_step": 7}' > marker; mv marker next.ready; exit 0; }
trap save TERM
touch HERE/ready
while true; do sleep 0.1; done
"""
"#,
    );
    let mut engine = sandbox.start(&["run", "w.toml"]);
    eventually("the program listens", || sandbox.path("ready").exists());
    signal(engine.id(), "TERM");
    assert_eq!(engine.wait().unwrap().code(), Some(130));
    assert_eq!(one(&sandbox, "SELECT last_step FROM step"), "7");
    assert_eq!(one(&sandbox, "SELECT status FROM run"), "interrupted");
    sandbox.stepwell(&["resume", "last"]).ok();
    assert_eq!(read(&sandbox.path("resumed")), "7\n");
}

#[test]
fn a_step_that_runs_out_of_memory_is_not_tried_again() {
    let Some(group) = MemoryGroup::of_mib(64) else {
        eprintln!("skipped: no right to make a control group");
        return;
    };
    let sandbox = sandbox(&format!(
        "name = \"memory\"\n[[step]]\nid = \"a\"\nkind = \"command\"\nretry = {{ initial_interval = \"1ms\", maximum_attempts = 3 }}\n[step.with]\nshell = \"echo $$ > {} && head -c 400000000 /dev/zero | tail\"\n",
        group.processes().display()
    ));
    sandbox.stepwell(&["run", "w.toml"]).exits(3).says(&["lack of memory", "smaller batch"]);
    assert_eq!(one(&sandbox, "SELECT attempts FROM step"), "1");
    assert!(one(&sandbox, "SELECT failure FROM step").contains("out_of_memory"));
}

/// The worker process runs out of memory, not its program: it reads the values that the program has written.
#[test]
fn a_worker_that_runs_out_of_memory_itself_is_not_tried_again() {
    let Some(group) = MemoryGroup::of_mib(64) else {
        eprintln!("skipped: no right to make a control group");
        return;
    };
    let sandbox = sandbox(&format!(
        "name = \"memory\"\n[[step]]\nid = \"a\"\nkind = \"command\"\nretry = {{ initial_interval = \"1ms\", maximum_attempts = 3 }}\n[step.with]\nshell = \"echo $PPID > {} && head -c 200000000 /dev/zero > $STEPWELL_VALUES\"\n",
        group.processes().display()
    ));
    sandbox.stepwell(&["run", "w.toml"]).exits(3).says(&["worker was killed for lack of memory", "smaller batch"]);
    assert_eq!(one(&sandbox, "SELECT attempts FROM step"), "1");
    assert_eq!(processes(&sandbox), Vec::<u32>::new());
}

/// Fakes the wall clock of processes from a file (libfaketime); `None` if it is not installed.
fn faked(sandbox: &Sandbox, args: &[&str]) -> Option<std::process::Command> {
    let found = walkdir::WalkDir::new("/usr/lib").max_depth(4).into_iter().flatten();
    let library = found.map(walkdir::DirEntry::into_path).find(|path| path.ends_with("libfaketime.so.1"))?;
    let mut command = sandbox.command(args);
    command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", sandbox.path("clock"));
    command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Some(command)
}

const TIMED: &str = r#"
name = "timed"
[[step]]
id = "slow"
kind = "command"
timeout = { heartbeat = "30s", start_to_close = "1h" }
with.shell = "touch HERE/started; while [ ! -e HERE/go ]; do sleep 0.05; done"
[[step]]
id = "flaky"
kind = "command"
retry = { initial_interval = "2s" }
with.shell = "[ $STEPWELL_ATTEMPT != 1 ]"
"#;

#[test]
fn a_wall_clock_that_jumps_a_year_moves_no_timer() {
    let sandbox = sandbox(TIMED);
    sandbox.write("clock", "+0");
    let Some(mut command) = faked(&sandbox, &["run", "w.toml"]) else {
        eprintln!("skipped: libfaketime is not installed");
        return;
    };
    let mut engine = command.spawn().unwrap();
    eventually("a lease and a backoff", || {
        sandbox.path("started").exists()
            && sandbox.query_count("step WHERE id = 'flaky' AND status = 'ready' AND attempts = 1") == 1
    });
    let attempts = || one(&sandbox, "SELECT group_concat(attempts) FROM (SELECT attempts FROM step ORDER BY id)");
    sandbox.write("clock", "+1y");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(attempts(), "1,1", "a timer fired a year early");
    sandbox.write("clock", "-1y");
    eventually("the backoff ends in time", || attempts() == "2,1");
    sandbox.write("go", "");
    assert!(engine.wait().unwrap().success());
    assert_eq!(attempts(), "2,1");
}

#[test]
fn a_restart_a_year_earlier_waits_for_no_year() {
    let sandbox = sandbox(TIMED);
    sandbox.write("clock", "+1y");
    let Some(mut command) = faked(&sandbox, &["run", "w.toml"]) else {
        eprintln!("skipped: libfaketime is not installed");
        return;
    };
    let engine = command.spawn().unwrap();
    eventually("a lease and a backoff", || {
        sandbox.path("started").exists()
            && sandbox.query_count("step WHERE id = 'flaky' AND status = 'ready' AND attempts = 1") == 1
    });
    kill(engine);
    sandbox.write("go", "");
    sandbox.stepwell(&["resume", "last"]).ok();
    assert_eq!(one(&sandbox, "SELECT group_concat(attempts) FROM (SELECT attempts FROM step ORDER BY id)"), "2,2");
}

#[test]
fn engines_that_die_again_and_again_lead_to_safe_mode() {
    let sandbox = sandbox(
        "name = \"loop\"\n[[step]]\nid = \"a\"\nkind = \"command\"\nwith.shell = \"echo last words; [ -e HERE/healed ] || { kill -9 $(cut -d' ' -f4 /proc/$PPID/stat); sleep 600; }\"\n",
    );
    let start = |args: &[&str]| {
        let mut command = sandbox.command(args);
        crate::harness::Finished::from(command.env("STEPWELL_CRASH_LOOP_LIMIT", "3").output().unwrap())
    };
    start(&["run", "w.toml"]).exits(-1);
    start(&["resume", "last"]).exits(-1);
    start(&["resume", "last"]).exits(-1);
    let verbs: [&[&str]; 7] = [
        &["resume", "last"],
        &["resume", "last", "--maximum-compute", "1h"],
        &["run", "w.toml", "--name", "other"],
        &["start-training", "w.toml", "--name", "other"],
        &["rerun", "last", "--from-step", "a", "--name", "other"],
        &["fork", "last", "--at", "a", "--name", "other"],
        &["worker", "--exit-when-idle"],
    ];
    let asked = || (sandbox.query_count("run"), sandbox.query_count("request"));
    for verb in verbs {
        start(verb).exits(7).says(&["safe mode", "3 times", "last words", "--force"]);
        assert_eq!(asked(), (1, 0), "refused before anything was submitted: {verb:?}");
    }
    start(&["run", "w.toml", "--name", "queued", "--detach"]).ok();
    assert_eq!(asked(), (2, 0), "what starts no engine may be submitted");
    start(&["cancel", "queued"]).ok();
    sandbox.write("healed", "");
    start(&["resume", "loop-1", "--force"]).ok();
    assert!(!sandbox.state().join("engine-starts").exists());
}

#[test]
fn engines_that_get_something_done_may_die_as_often_as_they_like() {
    let steps = (0..5).map(|i| format!(
        "[[step]]\nid = \"good-{i}\"\nkind = \"command\"\nneeds = [{}]\nwith.shell = \"true\"\n[[step]]\nid = \"bad-{i}\"\nkind = \"command\"\nneeds = [\"good-{i}\"]\nwith.shell = \"[ $STEPWELL_ATTEMPT = 2 ] || {{ kill -9 $(cut -d' ' -f4 /proc/$PPID/stat); sleep 600; }}\"\n",
        if i == 0 { String::new() } else { format!("\"bad-{}\"", i - 1) }
    ));
    let sandbox = sandbox(&format!("name = \"drill\"\n{}", steps.collect::<String>()));
    let start = |args: &[&str]| {
        let mut command = sandbox.command(args);
        crate::harness::Finished::from(command.env("STEPWELL_CRASH_LOOP_LIMIT", "2").output().unwrap())
    };
    start(&["run", "w.toml"]).exits(-1);
    for _ in 0..4 {
        start(&["resume", "last"]).exits(-1);
    }
    start(&["resume", "last"]).ok();
}
