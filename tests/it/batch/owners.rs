//! Who works at a batch, and that nobody does whose work is lost: `worker_crash_strands_job` and `zombie_owner_burns_inference` of
//! llm-d's fault catalogue.

use std::path::Path;

use super::{Lab, requests};
use crate::harness::{children, eventually, signal};

/// Rows that take some seconds together.
const ROWS: usize = 120;
const TOKENS: u32 = 60;

const WORKFLOW: &str = r#"
name = "owned"
[[step]]
id = "infer"
kind = "infer"
timeout = { heartbeat = "3s" }
with = { model = "model", requests = "requests.jsonl" }
"#;

fn lab() -> Lab {
    let lab = Lab::new(&requests(ROWS, TOKENS));
    lab.sandbox.write("owned.toml", WORKFLOW);
    lab
}

/// Bytes of the answers so far.
fn segment(lab: &Lab) -> u64 {
    let files = walkdir::WalkDir::new(lab.sandbox.state()).into_iter().flatten();
    let segment = files.filter(|file| file.file_name() == "rows.segment").find_map(|file| file.metadata().ok());
    segment.map_or(0, |found| found.len())
}

/// The worker, once it has answered more rows than `bytes` hold.
fn worker_at_work(lab: &Lab, engine: u32, bytes: u64) -> u32 {
    eventually("rows are answered", || segment(lab) > bytes.max(1000));
    let [worker] = children(engine)[..] else { panic!("one worker has the batch") };
    worker
}

fn is_alive(process: u32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(process.to_string()).join("stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}

/// Holds the output of the run against that of an undisturbed batch.
#[track_caller]
fn expect_undisturbed(lab: &Lab) {
    lab.sandbox.stepwell(&["artifact", "get", "last/infer/output", "owned.jsonl"]).ok();
    lab.batch(&["--state-dir", "undisturbed"]).exits(3);
    assert!(std::fs::read(lab.path("owned.jsonl")).unwrap() == lab.files()[0], "the answers are the same bytes");
}

#[test]
fn worker_crash_strands_job() {
    let lab = lab();
    let mut engine = lab.sandbox.start(&["run", "owned.toml"]);
    let mut answered = 0;
    for _ in 0..2 {
        signal(worker_at_work(&lab, engine.id(), answered), "KILL");
        answered = segment(&lab);
    }
    assert!(engine.wait().unwrap().success());
    assert!(lab.sandbox.query("SELECT attempts FROM step") == ["3"], "each death was noticed");
    expect_undisturbed(&lab);
}

/// A worker that does not answer loses its lease, and is dead before another one starts.
#[test]
fn zombie_owner_burns_inference() {
    let lab = lab();
    let mut engine = lab.sandbox.start(&["run", "owned.toml"]);
    let stopped = worker_at_work(&lab, engine.id(), 0);
    signal(stopped, "STOP");
    let answered = segment(&lab);
    eventually("another worker answers", || segment(&lab) > answered);
    assert!(!is_alive(stopped), "the first worker could go on");
    assert!(engine.wait().unwrap().success());
    expect_undisturbed(&lab);
}

/// No worker computes for an engine that is dead, even if no other engine comes.
#[test]
fn a_worker_ends_with_its_engine() {
    let lab = lab();
    let mut engine = lab.sandbox.start(&["run", "owned.toml"]);
    let worker = worker_at_work(&lab, engine.id(), 0);
    engine.kill().unwrap();
    engine.wait().unwrap();
    eventually("the worker ends", || !is_alive(worker));
    assert!(lab.sandbox.query("SELECT status FROM run") == ["running"], "the batch has not ended");
    lab.sandbox.stepwell(&["resume", "last"]).ok();
    expect_undisturbed(&lab);
}
