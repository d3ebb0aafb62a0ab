//! Steps that print more than their log may hold.

use std::fs;
use std::path::PathBuf;

use crate::harness::Sandbox;

const LIMIT: u64 = 1 << 20;

/// Replaces `GO` in the script by the path of the sandbox's file `go`.
fn sandbox(script: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let script = script.replace("GO", &sandbox.path("go").display().to_string());
    sandbox.write("stepwell.toml", "log_limit = \"1MiB\"\n");
    sandbox.write(
        "flood.toml",
        format!(
            "name = \"flood\"\n[[step]]\nid = \"flood\"\nkind = \"command\"\nretry = {{ maximum_attempts = 1 }}\nwith.shell = \"\"\"\n{script}\n\"\"\"\n"
        ),
    );
    sandbox
}

/// All files beside the scratch folder.
fn logs(sandbox: &Sandbox) -> Vec<PathBuf> {
    let run = fs::read_dir(sandbox.state().join("runs")).unwrap().next().unwrap().unwrap().path();
    let files = fs::read_dir(run.join("flood")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.is_file()).collect()
}

fn check_flood(sandbox: &Sandbox, last: &str) {
    let files = logs(sandbox);
    let total: u64 = files.iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert!((LIMIT / 4..=LIMIT).contains(&total), "{total} bytes in {files:?}");
    let text = sandbox.stepwell(&["logs", "last"]).ok().stdout;
    assert!(text.contains("the beginning\nflood 1\nflood 2\n"), "{}", &text[..500]);
    assert!(text.contains("bytes of this log were dropped"));
    assert!(text.trim_end().ends_with(last), "{}", &text[text.len() - 500..]);
}

const FLOOD: &str = "echo the beginning; seq -f 'flood %.0f' 1 14100000";

#[test]
fn a_flood_leaves_the_first_and_the_newest_lines() {
    let sandbox = sandbox(FLOOD);
    sandbox.stepwell(&["run", "flood.toml"]).ok();
    check_flood(&sandbox, "flood 14099999\nflood 14100000");
}

#[test]
fn a_failing_flood_shows_its_last_lines() {
    let sandbox = sandbox(&format!("{FLOOD}; echo the cause >&2; exit 4"));
    sandbox.stepwell(&["run", "flood.toml"]).exits(3).says(&["flood 14100000", "the cause"]);
    check_flood(&sandbox, "flood 14100000\nthe cause");
}

/// The step continues to print only after its disk space was freed.
#[cfg(target_os = "linux")]
#[test]
fn a_running_flood_frees_the_disk_and_can_be_followed() {
    use std::os::unix::fs::MetadataExt;
    use std::process::Stdio;

    use crate::harness::eventually;

    let sandbox = sandbox(&format!("{FLOOD}; while ! [ -e GO ]; do sleep 0.05; done; echo the end"));
    let mut engine = sandbox.start(&["run", "flood.toml"]);
    let log = || logs(&sandbox).first().and_then(|path| fs::metadata(path).ok());
    eventually("the step runs", || sandbox.state().join("runs").is_dir() && sandbox.query_count("step") > 0);
    let follower = sandbox.command(&["logs", "last", "-f"]).stdout(Stdio::piped()).spawn().unwrap();
    eventually("all is printed", || sandbox.stepwell(&["logs", "last"]).stdout.trim_end().ends_with("flood 14100000"));
    eventually("the disk is freed", || log().is_some_and(|log| log.blocks() * 512 < 2 * LIMIT));
    sandbox.write("go", "");
    assert!(engine.wait().unwrap().success());
    let followed = String::from_utf8(follower.wait_with_output().unwrap().stdout).unwrap();
    assert!(followed.contains("the beginning\nflood 1\n"));
    assert!(followed.trim_end().ends_with("flood 14100000\nthe end"));
    check_flood(&sandbox, "flood 14100000\nthe end");
}
