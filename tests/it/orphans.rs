//! Processes left by a program end with their attempt, however it ends and wherever they hide.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use crate::harness::{Sandbox, eventually, processes_in};

/// Writes its own process id, then sleeps in its own group, as an orphan without the mark of its attempt.
const DAEMON: &str = "(env -i PATH=\"$PATH\" setsid sh -c 'echo $$ > PIDS/NAME.new; mv PIDS/NAME.new PIDS/NAME; exec sleep 600' &)\n\
     while [ ! -e PIDS/NAME ]; do sleep 0.01; done";

#[test]
fn nothing_outlives_an_attempt_also_when_it_succeeds() {
    let sandbox = Sandbox::new();
    let pids = sandbox.path("pids");
    fs::create_dir(&pids).unwrap();
    let daemon = |name: &str| DAEMON.replace("PIDS", pids.to_str().unwrap()).replace("NAME", name);
    // `look` runs while the worker of the first step still exists.
    let mut text = format!(
        "name = \"orphans\"\n[[step]]\nid = \"look\"\nkind = \"command\"\nneeds = [\"plain\"]\n\
         with.shell = \"! kill -0 $(cat {})\"\nretry = {{ maximum_attempts = 1 }}\n",
        pids.join("plain").display()
    );
    for (name, end, more) in [
        ("plain", "true", ""),
        ("pooled", "true", "resources = { seats = 1 }\n"),
        ("failed", "exit 1", "retry = { maximum_attempts = 1 }\n"),
    ] {
        text.push_str(&format!(
            "[[step]]\nid = \"{name}\"\nkind = \"command\"\n{more}with.shell = '''\n{}\n\
             sleep 600 & echo $! > {}\n{end}\n'''\n",
            daemon(name),
            pids.join(format!("{name}-group")).display(),
        ));
    }
    sandbox.write("stepwell.toml", "[pools]\nseats = 1\n");
    sandbox.write("orphans.toml", text);
    sandbox.stepwell(&["run", "orphans.toml"]).exits(3);
    let states = sandbox.query("SELECT id || ' ' || status FROM step ORDER BY id");
    assert_eq!(states, ["failed failed", "look succeeded", "plain succeeded", "pooled succeeded"]);
    for name in ["plain", "pooled", "failed", "plain-group", "pooled-group", "failed-group"] {
        let pid = fs::read_to_string(pids.join(name)).unwrap();
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        assert!(!stat.contains("(sleep)"), "{name} lives on: {stat}");
    }
}

#[test]
fn orphans_that_end_by_themselves_do_not_fill_the_process_table() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "many.toml",
        "name = \"many\"\n[[step]]\nid = \"a\"\nkind = \"command\"\nwith.shell = '''\n\
         n=0; while [ $n -lt 20 ]; do (setsid true &); n=$((n + 1)); done\nsleep 0.5\n\
         parent=$(cut -d ' ' -f 4 /proc/$$/stat); grep -l \"^[0-9]* (true) Z $parent \" /proc/[0-9]*/stat 2>/dev/null | wc -l\n'''\n",
    );
    sandbox.stepwell(&["run", "many.toml"]).ok();
    let log = sandbox.stepwell(&["logs", "last", "a"]).ok().stdout;
    assert_eq!(log.lines().last().map(str::trim), Some("0"), "{log}");
}

#[test]
fn nothing_outlives_an_engine_that_is_killed() {
    let sandbox = Sandbox::new();
    let pids = sandbox.path("pids");
    fs::create_dir(&pids).unwrap();
    let daemon = DAEMON.replace("PIDS", pids.to_str().unwrap()).replace("NAME", "daemon");
    sandbox.write(
        "w.toml",
        format!("name = \"w\"\n[[step]]\nid = \"a\"\nkind = \"command\"\nwith.shell = '''\n{daemon}\nsleep 600\n'''\n"),
    );
    let mut engine = sandbox.start(&["run", "w.toml"]);
    eventually("the daemon runs", || pids.join("daemon").exists());
    engine.kill().unwrap();
    engine.wait().unwrap();
    let stat = format!("/proc/{}/stat", fs::read_to_string(pids.join("daemon")).unwrap().trim());
    eventually("it ends with its engine", || !fs::read_to_string(&stat).unwrap_or_default().contains("(sleep) S"));
}

#[test]
fn an_engine_whose_state_directory_is_removed_ends_with_its_steps() {
    let sandbox = Sandbox::new();
    sandbox.write("w.toml", "name = \"w\"\n[[step]]\nid = \"a\"\nkind = \"command\"\nwith.shell = 'sleep 600'\n");
    let mut command = sandbox.command(&["run", "w.toml"]);
    let engine = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("the step runs", || processes_in(&sandbox.path("")).len() > 2);
    let processes = processes_in(&sandbox.path(""));
    fs::remove_dir_all(sandbox.state()).unwrap();
    let output = engine.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("was removed while this engine ran"), "{told}");
    assert!(!output.status.success());
    let runs = |pid: &u32| Path::new(&format!("/proc/{pid}")).exists();
    eventually("its steps end", || !processes.iter().any(runs));
}
