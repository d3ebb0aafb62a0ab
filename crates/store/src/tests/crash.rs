//! Kills a process while it commits: everything that it acknowledged is there, exactly once. The child is this test
//! executable again, running one test selected by an environment variable.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::{Batch, EngineLock, Store, check};
use stepwell_base::ids::{RunId, StepId};
use stepwell_base::rng::Rng;
use stepwell_run::status::StepStatus;

use super::fixture::*;

const DIR: &str = "STEPWELL_TEST_CRASH_DIR";
/// Largest file that the child may write, in bytes; a larger one is an IO error.
const LIMIT: &str = "STEPWELL_TEST_FILE_LIMIT";
const ROUNDS: u32 = 12;

fn spawn(dir: &Path, limit: Option<u64>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--nocapture", "tests::crash::child_that_commits_until_it_dies"]);
    command.env(DIR, dir).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(limit) = limit {
        command.env(LIMIT, limit.to_string());
    }
    command.spawn().unwrap()
}

#[test]
fn child_that_commits_until_it_dies() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    if let Ok(limit) = std::env::var(LIMIT) {
        limit_file_size(limit.parse().unwrap());
    }
    let dir = Path::new(&dir);
    let lock = EngineLock::acquire(dir).unwrap();
    let mut store = Store::open(dir).unwrap();
    store.begin_epoch(&lock).unwrap();
    let run = run_of(&mut store);
    let step = store.reader().step(run, &"a".into()).unwrap();
    let attempt = step.attempts + 1;
    let fence = u64::from(attempt);
    let last = step.last_step.unwrap_or(0);
    let mut events = Vec::new();
    if step.status == StepStatus::Running {
        events.push(released("a", step.fence.0));
    }
    events.extend([started("a", attempt), rewound("a", fence, last)]);
    store.commit(Batch { events: &recorded(run, events), ..Batch::default() }).unwrap();
    #[expect(clippy::disallowed_methods, reason = "a script reads it")]
    let mut out = std::io::stdout();
    out.write_all(b"\n").unwrap();
    for next in last + 1.. {
        let events = recorded(run, [checkpointed("a", fence, next)]);
        let rows = metrics(run, "a", attempt, &[next]);
        let report = store.commit(Batch { events: &events, metrics: &rows, ..Batch::default() }).unwrap();
        assert_eq!(report, Default::default());
        out.write_all(format!("ack {next}\n").as_bytes()).unwrap();
    }
}

fn run_of(store: &mut Store) -> RunId {
    if let Ok(run) = store.reader().resolve_run("last") {
        return run;
    }
    let run = new_run("one");
    let id = run.id;
    store.submit(run).unwrap();
    id
}

/// A larger file gives EFBIG, which SQLite reports as an IO error. The handler catches the signal that comes with it.
fn limit_file_size(bytes: u64) {
    const SIGXFSZ: i32 = 25;
    let caught = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    signal_hook::flag::register(SIGXFSZ, caught).unwrap();
    let limit = rustix::process::Rlimit { current: Some(bytes), maximum: Some(bytes) };
    rustix::process::setrlimit(rustix::process::Resource::Fsize, limit).unwrap();
}

fn last_ack(output: impl Read) -> u64 {
    let lines = BufReader::new(output).lines().map_while(Result::ok);
    lines.filter_map(|line| line.strip_prefix("ack ")?.parse().ok()).last().unwrap_or(0)
}

/// Returns the number of steps in the database, after asserting that they are 1, 2, 3, ... without gap or duplicate.
fn committed(dir: &Path) -> u64 {
    let store = Store::open(dir).unwrap();
    assert_eq!(check(dir).unwrap(), []);
    let run = store.reader().resolve_run("last").unwrap();
    let step = StepId::from("a");
    let mut saved: Vec<u64> =
        store.reader().checkpoints(run, &step).unwrap().iter().filter_map(|row| row.checkpoint.last_step).collect();
    saved.reverse();
    let measured: Vec<u64> = store.reader().metrics(run, &step, 0).unwrap().iter().map(|row| row.train_step).collect();
    let expected: Vec<u64> = (1..=saved.len() as u64).collect();
    assert_eq!(saved, expected);
    assert_eq!(measured, expected);
    expected.len() as u64
}

#[test]
fn what_was_acknowledged_survives_sigkill() {
    let dir = tempfile::tempdir().unwrap();
    let mut rng = Rng::new(1);
    let mut acknowledged = 0;
    for _ in 0..ROUNDS {
        let mut child = spawn(dir.path(), None);
        // Kill at a random time after the first acknowledgement.
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("ack ") {
            line.clear();
            assert_ne!(output.read_line(&mut line).unwrap(), 0, "the child ended early");
        }
        sleep(Duration::from_micros(rng.below(60_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        let first: u64 = line.trim_start_matches("ack ").trim().parse().unwrap();
        assert_eq!(first, acknowledged + 1, "the child went on elsewhere");
        let acks = last_ack(output).max(first);
        acknowledged = committed(dir.path());
        assert!(acks <= acknowledged, "acknowledged {acks}, committed {acknowledged}");
        assert!(acknowledged <= acks + 1, "acknowledged {acks}, committed {acknowledged}");
    }
}

#[test]
fn an_io_error_aborts_the_process_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path()).unwrap());
    let child = spawn(dir.path(), Some(1 << 20));
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    const SIGABRT: i32 = 6;
    assert_eq!(output.status.signal(), Some(SIGABRT), "{errors}");
    assert!(errors.contains("cannot write") && errors.contains("stepwell.db"), "{errors}");
    let acknowledged = last_ack(output.stdout.as_slice());
    assert!(acknowledged > 10);
    // What failed may have come after the commit, and before the word about it.
    let committed = committed(dir.path());
    assert!(
        (acknowledged..=acknowledged + 1).contains(&committed),
        "acknowledged {acknowledged}, committed {committed}"
    );
}
