//! The two halves of `scripts/power_cut.sh`, which needs root and loop devices: write and acknowledge
//! until the file system is gone, and look at what is left. Without their variables they do nothing.

use std::io::Write;
use std::path::Path;

use crate::artifact::ArtifactStore;
use crate::core::event::Event;
use crate::core::ids::{Fence, StepId};
use crate::core::status::StepStatus;
use crate::store::{Batch, EngineLock, Store, check};

use super::fixture::*;

const WRITE: &str = "STEPWELL_TEST_POWER_WRITE";
const CHECK: &str = "STEPWELL_TEST_POWER_CHECK";
const ACKNOWLEDGED: &str = "STEPWELL_TEST_POWER_ACKNOWLEDGED";

#[test]
fn writer() {
    let Some(dir) = std::env::var_os(WRITE) else { return };
    let dir = Path::new(&dir);
    let lock = EngineLock::acquire(dir).unwrap();
    let mut store = Store::open(dir).unwrap();
    store.begin_epoch(&lock).unwrap();
    let artifacts = ArtifactStore::open(dir).unwrap();
    artifacts.clean_temp().unwrap();
    let run = store.resolve_run("last").unwrap_or_else(|_| {
        let run = new_run("one");
        let id = run.id;
        store.submit(run).unwrap();
        id
    });
    let step = store.step(run, &"a".into()).unwrap();
    let attempt = step.attempts + 1;
    let mut events = vec![started("a", attempt)];
    if step.status == StepStatus::Running {
        events.insert(0, released("a", step.fence.0));
    }
    store.commit(Batch { events: &recorded(run, events), ..Batch::default() }).unwrap();
    let mut out = std::io::stdout();
    out.write_all(b"\n").unwrap();
    for next in step.last_step.unwrap_or(0) + 1.. {
        let content = format!("content {next} ").repeat(2000);
        let mut checkpoint = checkpoint(next);
        checkpoint.artifact = Some(artifacts.put_bytes(content.as_bytes(), "text/plain").unwrap());
        let committed = Event::CheckpointCommitted { step: "a".into(), fence: Fence(u64::from(attempt)), checkpoint };
        store.commit(Batch { events: &recorded(run, [committed]), ..Batch::default() }).unwrap();
        out.write_all(format!("ack {next}\n").as_bytes()).unwrap();
    }
}

#[test]
fn survivors() {
    let Some(dir) = std::env::var_os(CHECK) else { return };
    let dir = Path::new(&dir);
    let acknowledged: usize = std::env::var(ACKNOWLEDGED).unwrap().parse().unwrap();
    let store = Store::open(dir).unwrap();
    assert_eq!(check(dir).unwrap(), []);
    let run = store.resolve_run("last").unwrap();
    let rows = store.checkpoints(run, &StepId::from("a")).unwrap();
    assert!(rows.len() >= acknowledged, "acknowledged {acknowledged}, committed {}", rows.len());
    let artifacts = ArtifactStore::open(dir).unwrap();
    for row in rows {
        artifacts.verify(&row.checkpoint.artifact.unwrap()).unwrap();
    }
}
