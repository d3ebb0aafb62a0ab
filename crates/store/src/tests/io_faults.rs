//! The two halves of `scripts/io_faults.sh`. One writes and acknowledges while the script makes system calls or the
//! disk fail, and continues after errors as long as it can; the other checks the result. Without their variables they
//! do nothing.

use std::io::Write;
use std::path::Path;

use crate::{Batch, EngineLock, Store, check};
use stepwell_artifact::ArtifactStore;
use stepwell_base::ids::{Fence, StepId};
use stepwell_run::event::StepEventKind;
use stepwell_run::status::StepStatus;

use super::fixture::*;

const WRITE: &str = "STEPWELL_TEST_FAULTS_WRITE";
const CHECK: &str = "STEPWELL_TEST_FAULTS_CHECK";
/// Number of checkpoints that the writer tries to commit.
const COUNT: &str = "STEPWELL_TEST_FAULTS_COUNT";
/// A file with everything that the writers printed.
const ACKNOWLEDGED: &str = "STEPWELL_TEST_FAULTS_ACKNOWLEDGED";

#[test]
fn writer() {
    let Some(dir) = std::env::var_os(WRITE) else { return };
    let dir = Path::new(&dir);
    let count: u64 = std::env::var(COUNT).unwrap().parse().unwrap();
    let lock = EngineLock::acquire(dir).unwrap();
    let mut store = Store::open(dir).unwrap();
    store.begin_epoch(&lock).unwrap();
    let artifacts = ArtifactStore::open(dir).unwrap();
    artifacts.clean_temp().unwrap();
    let run = store.reader().resolve_run("last").unwrap_or_else(|_| {
        let run = new_run("one");
        let id = run.id;
        store.submit(run).unwrap();
        id
    });
    let step = store.reader().step(run, &"a".into()).unwrap();
    let attempt = step.attempts + 1;
    let mut events = vec![started("a", attempt)];
    if step.status == StepStatus::Running {
        events.insert(0, released("a", step.fence.0));
    }
    store.commit(Batch { events: &recorded(run, events), ..Batch::default() }).unwrap();
    #[expect(clippy::disallowed_methods, reason = "a script reads it")]
    let mut out = std::io::stdout();
    out.write_all(b"\n").unwrap();
    let first = step.last_step.unwrap_or(0) + 1;
    for next in first..first + count {
        let content = format!("content {next} ").repeat(300);
        let mut checkpoint = checkpoint(next);
        checkpoint.artifact = match artifacts.put_bytes(content.as_bytes(), "text/plain") {
            Ok(artifact) => Some(artifact),
            Err(error) => {
                eprintln!("artifact {next}: {error}");
                continue;
            }
        };
        let committed = StepEventKind::CheckpointCommitted { checkpoint }.under("a".into(), Fence(u64::from(attempt)));
        match store.commit(Batch { events: &recorded(run, [committed]), ..Batch::default() }) {
            Ok(_) => out.write_all(format!("ack {next}\n").as_bytes()).unwrap(),
            Err(error) => eprintln!("commit {next}: {error}"),
        }
    }
}

#[test]
fn survivors() {
    let Some(dir) = std::env::var_os(CHECK) else { return };
    let dir = Path::new(&dir);
    let printed = std::fs::read_to_string(std::env::var(ACKNOWLEDGED).unwrap()).unwrap();
    let acknowledged = printed.lines().filter_map(|line| line.strip_prefix("ack ")?.parse::<u64>().ok());
    let store = Store::open(dir).unwrap();
    assert_eq!(check(dir).unwrap(), []);
    let run = store.reader().resolve_run("last").unwrap();
    let rows = store.reader().checkpoints(run, &StepId::from("a")).unwrap();
    let committed: Vec<u64> = rows.iter().filter_map(|row| row.checkpoint.last_step).collect();
    let lost: Vec<u64> = acknowledged.filter(|step| !committed.contains(step)).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    let artifacts = ArtifactStore::open(dir).unwrap();
    for row in rows {
        artifacts.verify(&row.checkpoint.artifact.unwrap()).unwrap();
    }
}
