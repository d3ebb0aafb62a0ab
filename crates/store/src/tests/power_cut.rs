//! The two halves of `scripts/power_cut.sh`, which needs root and loop devices. One writes and acknowledges until the
//! file system is gone; the other checks the result. Without their variables they do nothing.
#![expect(clippy::disallowed_methods, reason = "a script reads standard output")]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use crate::{Batch, EngineLock, Store, check};
use stepwell_artifact::ArtifactStore;
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::ids::{Fence, StepId};
use stepwell_run::event::StepEventKind;
use stepwell_run::status::StepStatus;

use super::fixture::*;

const WRITE: &str = "STEPWELL_TEST_POWER_WRITE";
const CHECK: &str = "STEPWELL_TEST_POWER_CHECK";
/// A file with the writer's output.
const ACKNOWLEDGED: &str = "STEPWELL_TEST_POWER_ACKNOWLEDGED";
/// A mount point whose power the writer itself cuts right after the acknowledgement [`CUT_AT`]. Any later write and
/// sync would make durable what the acknowledged call forgot.
const CUT: &str = "STEPWELL_TEST_POWER_CUT";
/// `put N` or `ack N`.
const CUT_AT: &str = "STEPWELL_TEST_POWER_CUT_AT";

/// Announces what is durable now.
struct Acknowledgements {
    said: u32,
    cut: Option<(OsString, String)>,
}

impl Acknowledgements {
    fn new() -> Acknowledgements {
        let cut = std::env::var_os(CUT).map(|disk| (disk, std::env::var(CUT_AT).unwrap()));
        Acknowledgements { said: 0, cut }
    }

    /// Prints `put` for content, `ack` for the commit that names it; false when the power is gone.
    fn say(&mut self, kind: &str, what: &str) -> bool {
        std::io::stdout().write_all(format!("{kind} {what}\n").as_bytes()).unwrap();
        self.said += u32::from(kind == "put");
        let now = format!("{kind} {}", self.said);
        let Some((disk, _)) = self.cut.as_ref().filter(|(_, at)| *at == now) else { return true };
        assert!(Command::new("xfs_io").args(["-x", "-c", "shutdown"]).arg(disk).status().unwrap().success());
        false
    }
}

#[test]
fn writer() {
    let Some(dir) = std::env::var_os(WRITE) else { return };
    let dir = Path::new(&dir);
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
    let mut acknowledgements = Acknowledgements::new();
    std::io::stdout().write_all(b"\n").unwrap();
    for next in step.last_step.unwrap_or(0) + 1.. {
        let content = format!("content {next} ").repeat(2000);
        let mut checkpoint = checkpoint(next);
        let artifact = artifacts.put_bytes(content.as_bytes(), "text/plain").unwrap();
        if !acknowledgements.say("put", &serde_json::to_string(&artifact).unwrap()) {
            return;
        }
        checkpoint.artifact = Some(artifact);
        let committed = StepEventKind::CheckpointCommitted { checkpoint }.under("a".into(), Fence(u64::from(attempt)));
        store.commit(Batch { events: &recorded(run, [committed]), ..Batch::default() }).unwrap();
        if !acknowledgements.say("ack", &next.to_string()) {
            return;
        }
    }
}

#[test]
fn survivors() {
    let Some(dir) = std::env::var_os(CHECK) else { return };
    let dir = Path::new(&dir);
    let said = std::fs::read_to_string(std::env::var_os(ACKNOWLEDGED).unwrap()).unwrap();
    // The last line may be half-written when the script cuts the power.
    let said: Vec<&str> = said.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')).collect();
    let committed = said.iter().filter_map(|line| line.strip_prefix("ack ")).map(|n| n.parse::<usize>().unwrap());
    let acknowledged = committed.max().unwrap_or(0);
    let put = said.iter().filter_map(|line| line.strip_prefix("put ")).map(|json| serde_json::from_str(json).unwrap());
    let mut expected: Vec<ArtifactRef> = put.collect();
    assert!(!expected.is_empty(), "nothing was acknowledged");

    let store = Store::open(dir).unwrap();
    assert_eq!(check(dir).unwrap(), []);
    let run = store.reader().resolve_run("last").unwrap();
    let rows = store.reader().checkpoints(run, &StepId::from("a")).unwrap();
    assert!(rows.len() >= acknowledged, "acknowledged {acknowledged}, committed {}", rows.len());
    expected.extend(rows.into_iter().map(|row| row.checkpoint.artifact.unwrap()));
    let artifacts = ArtifactStore::open(dir).unwrap();
    let lost: BTreeSet<String> = expected
        .iter()
        .filter_map(|artifact| artifacts.verify(artifact).err())
        .map(|error| error.to_string())
        .collect();
    assert!(lost.is_empty(), "acknowledged content is not there: {lost:?}");
}
