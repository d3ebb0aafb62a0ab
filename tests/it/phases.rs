//! A research log: phases in order, and runs that write into them, also when they are killed.

use std::fs;

use crate::harness::{Sandbox, eventually, kill_with_workers};

const WORKFLOW: &str = "name = \"w\"\n[[step]]\nid = \"a\"\nkind = \"command\"\nwith.shell = \"echo '{\\\"score\\\": 7}' > $STEPWELL_VALUES; touch FOLDER/started; [ -e FOLDER/go ] || sleep 60\"\n";

#[test]
fn a_phase_is_pending_then_active_then_complete() {
    let sandbox = Sandbox::new();
    sandbox.write("w.toml", WORKFLOW.replace("FOLDER", sandbox.dir.path().to_str().unwrap()));
    for name in ["10-later", "2-now"] {
        sandbox.write(&format!("phases/{name}/PLAN.md"), "a plan");
    }
    let states = || {
        let phases = sandbox.stepwell(&["phases", "--output", "json"]).ok().json();
        let shown = |phase: &serde_json::Value| {
            format!("{} {}", phase["name"].as_str().unwrap(), phase["state"].as_str().unwrap())
        };
        phases["phases"].as_array().unwrap().iter().map(shown).collect::<Vec<_>>()
    };
    assert_eq!(states(), ["2-now pending", "10-later pending"]);
    let mut engine = sandbox.start(&["run", "w.toml", "--phase", "phases/2-now"]);
    eventually("the step runs", || sandbox.path("started").exists());
    kill_with_workers(&mut engine);
    assert_eq!(states(), ["2-now active", "10-later pending"]);
    sandbox
        .write("phases/2-now/run.log", fs::read_to_string(sandbox.path("phases/2-now/run.log")).unwrap() + "half a li");
    sandbox.write("go", "");
    sandbox.stepwell(&["resume"]).ok();
    assert_eq!(states(), ["2-now complete", "10-later pending"]);
    let log = fs::read_to_string(sandbox.path("phases/2-now/run.log")).unwrap();
    let mut events: Vec<&str> = log.lines().map(|line| line.split(' ').nth(2).unwrap()).collect();
    let all = events.len();
    events.dedup();
    assert_eq!(events.len(), all, "no event twice:\n{log}");
    assert!(!log.contains("half a li"), "{log}");
    let results = fs::read_to_string(sandbox.path("phases/2-now/RESULTS.md")).unwrap();
    assert!(results.contains("| a.score | 7 |"), "{results}");
    states();
    assert_eq!(fs::read_to_string(sandbox.path("phases/2-now/run.log")).unwrap(), log);
    assert_eq!(fs::read_to_string(sandbox.path("phases/2-now/RESULTS.md")).unwrap(), results);
    sandbox.stepwell(&["run", "w.toml", "--phase", "phases"]).exits(6).says(&["PLAN.md"]);
}
