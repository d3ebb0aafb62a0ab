//! The owner's program is told when a run ends.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Sandbox, eventually, read, signal};

const FLOW: &str = r#"
name = "flow"
[params]
fail = false
[[step]]
id = "a"
kind = "command"
retry = { maximum_attempts = 1 }
with = { shell = "echo '{\"val_loss\": 2.5}' > \"$STEPWELL_VALUES\"; [ \"$FAIL\" = false ]", env = { FAIL = "{{ params.fail }}" } }
"#;

/// A sandbox whose notifier runs this shell script.
fn sandbox(script: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("flow.toml", FLOW);
    sandbox.write("notify.sh", script);
    let path = sandbox.path("notify.sh");
    sandbox.write("stepwell.toml", format!("[notify]\ncommand = [\"sh\", {:?}]\n", path.to_str().unwrap()));
    sandbox
}

#[test]
fn the_end_of_a_run_is_told_once_with_its_values() {
    let sandbox = sandbox("cat >> told; echo \"$STEPWELL_RUN_NAME $STEPWELL_RUN_STATUS\" >> short\n");
    sandbox.stepwell(&["run", "flow.toml", "--tag", "t"]).ok();
    sandbox.stepwell(&["run", "flow.toml", "-S", "fail=true"]).exits(3);
    // No engine runs when this one is canceled.
    sandbox.stepwell(&["run", "flow.toml", "--detach"]).ok();
    sandbox.stepwell(&["cancel", "last"]).ok();
    assert_eq!(read(&sandbox.path("short")), "flow-1 succeeded\nflow-2 failed\nflow-3 canceled\n");
    let told: Vec<Value> =
        read(&sandbox.path("told")).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&told[0]["type"], &told[0]["run"]["status"]), (&"run_ended".into(), &"succeeded".into()));
    assert_eq!(told[0]["values"]["a"]["val_loss"], 2.5);
    assert_eq!(told[0]["tags"][0], "t");
    assert!(told[0]["text"].as_str().unwrap().starts_with("run flow-1 succeeded after "), "{}", told[0]);
    assert!(told[1]["text"].as_str().unwrap().contains("flow-2 failed"), "{}", told[1]);
    assert_eq!(sandbox.query_count("notification"), 0);
    sandbox.stepwell(&["db", "check"]).ok();
}

/// The rest of the pages would take hours.
const SLOW: &str = r#"
name = "slow"
[sla]
finish_within = "30m"
[[step]]
id = "work"
kind = "command"
with.shell = "n=0; while [ ! -e enough ]; do n=$((n + 1)); echo $n 1000000 pages > $STEPWELL_PROGRESS; sleep 0.1; done"
"#;

#[test]
fn a_deadline_in_danger_is_told_once_before_the_end() {
    let sandbox = sandbox("cat >> told; echo \"$STEPWELL_ALERT\" >> alerts\n");
    sandbox.write("slow.toml", SLOW.replace("enough", sandbox.path("enough").to_str().unwrap()));
    let mut engine = sandbox.start(&["run", "slow.toml"]);
    eventually("the alert is told", || read(&sandbox.path("alerts")).contains("deadline_at_risk"));
    std::thread::sleep(Duration::from_millis(1500));
    sandbox.write("enough", "");
    engine.wait().unwrap();
    let told: Vec<Value> =
        read(&sandbox.path("told")).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!((&told[0]["type"], &told[0]["alert"]["kind"]), (&"run_alerted".into(), &"deadline_at_risk".into()));
    assert!(told[0]["text"].as_str().unwrap().starts_with("run slow-1: the run should finish within"), "{}", told[0]);
    assert_eq!((&told[1]["type"], &told[1]["alert"]), (&"run_ended".into(), &Value::Null));
}

#[test]
fn a_notifier_that_fails_or_is_missing_is_a_warning() {
    let failing = sandbox("echo no route >&2; exit 3\n");
    failing.stepwell(&["run", "flow.toml"]).ok().says(&["warning: the notify command `sh` failed", "notify.log"]);
    assert_eq!(read(&failing.state().join("notify.log")), "no route\n");
    failing.write("stepwell.toml", "[notify]\ncommand = [\"./missing\"]\n");
    failing.stepwell(&["run", "flow.toml"]).ok().says(&["warning: the notify command `./missing` cannot be started"]);
    failing.write("stepwell.toml", "[notify]\nurl = \"https://example.com\"\n");
    failing.stepwell(&["run", "flow.toml"]).exits(2).says(&["curl"]);
}

#[test]
fn a_notifier_that_hangs_delays_no_run_and_is_killed() {
    let sandbox = sandbox("echo started >> starts; sleep 100\n");
    for _ in 0..2 {
        sandbox.stepwell(&["run", "flow.toml", "--detach", "--no-reuse"]).ok();
    }
    let start = Instant::now();
    let mut worker = sandbox.start(&["worker"]);
    eventually("both runs end", || sandbox.query_count("run WHERE status = 'succeeded'") == 2);
    assert!(start.elapsed() < Duration::from_secs(9), "the second run did not wait for the notifier");
    eventually("the notifier is killed", || sandbox.query_count("notification") == 1);
    signal(worker.id(), "INT");
    worker.wait().unwrap();
    assert!(start.elapsed() < Duration::from_secs(25));
}

#[test]
fn an_end_is_told_by_the_next_engine_if_this_one_dies() {
    let sandbox = sandbox("echo \"$STEPWELL_RUN_NAME\" >> starts; [ -e fast ] || sleep 100\n");
    let mut engine = sandbox.start(&["run", "flow.toml"]);
    eventually("the notifier works", || sandbox.path("starts").exists());
    assert_eq!(sandbox.query_count("notification"), 1);
    signal(engine.id(), "KILL");
    engine.wait().unwrap();
    sandbox.write("fast", "");
    sandbox.stepwell(&["db", "check"]).ok();
    sandbox.stepwell(&["worker", "--exit-when-idle"]).ok();
    assert_eq!(read(&sandbox.path("starts")), "flow-1\nflow-1\n", "at least once");
    assert_eq!(sandbox.query_count("notification"), 0);
    sandbox.stepwell(&["db", "check"]).ok();
}
