//! Checks the order of a checkpoint thread's system calls: nothing is announced before it is durable. A
//! crash test cannot see this, because the page cache outlives a killed process.

use std::collections::{HashMap, HashSet};
use std::process::{Command, Stdio};

use crate::harness::Sandbox;

const CALLS: &str = "trace=fsync,fdatasync,rename,renameat,renameat2,sendto,sendmsg,write";

/// System calls of one thread.
#[derive(Default)]
struct Thread {
    synced: HashSet<String>,
    /// Folders with a new name that is not durable yet.
    unsynced_folders: HashSet<String>,
    renames: usize,
}

impl Thread {
    fn synced(&mut self, path: &str) {
        self.synced.insert(path.to_owned());
        self.unsynced_folders.remove(path);
    }

    fn renamed(&mut self, from: &str, to: &str) {
        assert!(self.synced.contains(from), "{to} got its name before its content was durable");
        self.unsynced_folders.insert(to.rsplit_once('/').unwrap().0.to_owned());
        self.renames += 1;
    }

    fn announced(&self) {
        let rows = |path: &String| path.ends_with("/train/metrics.jsonl");
        assert!(self.synced.iter().any(rows), "a checkpoint was announced before its rows were durable");
        assert_eq!(self.unsynced_folders, HashSet::new(), "a checkpoint was announced before the names of its files");
        assert!(self.renames >= 2, "its state and its manifest are new in every checkpoint");
    }
}

fn strace() -> bool {
    let tried = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}

/// Text between the first `open` and the next `close`.
fn between(line: &str, open: char, close: char) -> &str {
    line.split_once(open).and_then(|(_, rest)| rest.split_once(close)).map_or("", |(inside, _)| inside)
}

#[test]
fn a_checkpoint_is_durable_before_it_is_announced() {
    if !strace() {
        eprintln!("skipped: strace is not installed, or may not trace here");
        return;
    }
    let sandbox = Sandbox::new();
    let stepwell =
        sandbox.command(&["run", "smoke", "-S", "steps=20", "-S", "documents=60", "-S", "checkpoint_every=10"]);
    let trace = sandbox.path("trace");
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq", "-y", "-s", "400", "-e", CALLS, "-o"]).arg(&trace);
    traced.arg(stepwell.get_program()).args(stepwell.get_args()).current_dir(sandbox.dir.path());
    for (name, value) in stepwell.get_envs() {
        match value {
            Some(value) => traced.env(name, value),
            None => traced.env_remove(name),
        };
    }
    assert!(traced.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());

    let mut threads: HashMap<String, Thread> = HashMap::new();
    let mut announced = 0;
    for line in std::fs::read_to_string(trace).unwrap().lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let (thread, call) = (threads.entry(thread.to_owned()).or_default(), call.trim_start());
        if call.starts_with("fsync(") || call.starts_with("fdatasync(") {
            thread.synced(between(call, '<', '>'));
        } else if call.starts_with("rename") {
            let quoted: Vec<&str> = call.split('"').collect();
            if quoted[3].contains("/artifacts/blobs/") {
                thread.renamed(quoted[1], quoted[3]);
            }
        } else if call.contains(r#"{\"type\":\"checkpoint\""#) {
            thread.announced();
            announced += 1;
        }
    }
    assert_eq!(announced, 2);
}
