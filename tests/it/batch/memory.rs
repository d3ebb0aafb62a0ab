//! Batches that need more memory than there is.

use std::process::Command;

use super::{Lab, requests};
use crate::harness::Finished;

const WORKFLOW: &str = r#"
name = "greedy"
[[step]]
id = "infer"
kind = "infer"
with = { model = "model", requests = "requests.jsonl", cache_mib = 16384 }
"#;

/// Most address space of each process, in KiB: less than the cache that is asked for.
const LIMIT: &str = "6291456";

#[test]
fn a_cache_that_the_system_refuses_is_halved_until_it_fits() {
    let lab = Lab::new(&requests(20, 8));
    lab.batch(&[]).exits(3);
    lab.sandbox.write("greedy.toml", WORKFLOW);
    let stepwell = lab.sandbox.command(&["run", "greedy.toml", "--state-dir", "limited"]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -v \"$0\"; exec \"$@\"", LIMIT]).arg(stepwell.get_program()).args(stepwell.get_args());
    limited.current_dir(lab.sandbox.dir.path());
    for (name, value) in stepwell.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    Finished::from(limited.output().unwrap()).ok();
    let copied = ["artifact", "get", "last/infer/output", "limited.jsonl", "--state-dir", "limited"];
    lab.sandbox.stepwell(&copied).ok();
    let [output, _] = lab.files();
    assert!(std::fs::read(lab.path("limited.jsonl")).unwrap() == output, "the answers are the same bytes");
    let told = lab.sandbox.stepwell(&["show", "last", "infer", "--state-dir", "limited"]).ok().stdout;
    let decision = "the system lacks memory for the keys and values of all rows: they have 4096 MiB";
    assert!(told.contains(decision), "{told}");
}
