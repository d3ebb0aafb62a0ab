//! This build finishes runs of older releases.

use std::fs;
use std::path::Path;

use crate::harness::Sandbox;

fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from).into_iter().map(Result::unwrap) {
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir_all(target).unwrap();
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn runs_of_older_schemas_are_resumed_from_their_checkpoints() {
    for version in ["v2", "v3", "v4", "v5", "v7"] {
        a_run_is_resumed_from_its_checkpoint(version);
    }
}

fn a_run_is_resumed_from_its_checkpoint(version: &str) {
    let sandbox = Sandbox::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/schema");
    copy(&fixtures.join(version), &sandbox.state());
    sandbox.write("workflow.toml", fs::read(fixtures.join("workflow.toml")).unwrap());
    // A reading verb migrates as well.
    sandbox.stepwell(&["db", "check"]).ok();
    sandbox.stepwell(&["artifact", "verify"]).ok();
    let backups = fs::read_dir(sandbox.state().join("backups")).unwrap().count();
    assert_eq!(backups, 1);
    shows_its_curve(&sandbox);
    sandbox.stepwell(&["resume", "stopped"]).ok();
    shows_its_curve(&sandbox);
    let count = "SELECT attempts FROM step JOIN run ON run.id = step.run WHERE name = 'stopped' AND step.id = 'count'";
    assert_eq!(sandbox.query(count), ["2"]);
    let n = sandbox.stepwell(&["artifact", "show", "stopped/count/n"]).ok().stdout;
    assert_eq!(n.trim().lines().last(), Some("4"), "it went on from the checkpoint at 3");
    // Steps and idempotency keys of the older release are reused.
    sandbox.stepwell(&["run", "workflow.toml", "--name", "new"]).ok();
    assert_eq!(
        sandbox.query(
            "SELECT count(*) FROM step JOIN run ON run.id = step.run WHERE name = 'new' AND reused_from IS NOT NULL"
        ),
        ["4"]
    );
    sandbox.stepwell(&["run", "workflow.toml", "--idempotency-key", "key-1"]).ok();
    assert_eq!(sandbox.query("SELECT count(*) FROM run"), ["7"]);
    sandbox.stepwell(&["db", "check"]).ok();
    sandbox.stepwell(&["artifact", "verify"]).ok();
}

/// The rows that the older release has measured, before and after the end of their run.
#[track_caller]
fn shows_its_curve(sandbox: &Sandbox) {
    let rows = sandbox.stepwell(&["metrics", "stopped", "count", "--csv"]).ok().stdout;
    let losses: Vec<&str> = rows.lines().skip(1).map(|row| row.split(',').nth(4).unwrap()).collect();
    assert_eq!(losses, ["1", "0.5", "0.3333333333333333"], "{rows}");
    let plot = sandbox.stepwell(&["metrics", "stopped", "--plot"]).ok().stdout;
    assert!(plot.lines().count() > 10 && plot.contains("training step"), "{plot}");
    let json = sandbox.stepwell(&["metrics", "stopped", "--output", "json"]).ok().json();
    assert_eq!(json["series"][0]["rows"].as_array().map(Vec::len), Some(3), "{json}");
    assert!(sandbox.stepwell(&["show", "stopped", "--all"]).ok().stdout.contains("count"));
    sandbox.stepwell(&["report", "stopped"]).ok();
}
