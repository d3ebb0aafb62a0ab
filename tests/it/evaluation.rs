//! `model.eval` over many items: a kill costs the seconds since the last checkpoint, and no bit of a result.

use std::fmt::Write;

use serde_json::json;

use crate::batch::tiny_model;
use crate::harness::{Sandbox, eventually, kill_with_workers};

/// Pairs of an evaluation that is killed. They take some seconds more than a few checkpoints.
const PAIRS: usize = 6_000;
const KILLS: usize = 2;

const WORKFLOW: &str = r#"
name = "measure"
[[step]]
id = "import"
kind = "model.import"
with = { source = "model" }
[[step]]
id = "eval"
kind = "model.eval"
[step.with]
model = "{{ steps.import.outputs.model }}"
tasks = [{ name = "pairs", pairs = "pairs.jsonl" }, { name = "copy", generated = "copy", count = 20, shots = 1 }]
[[step]]
id = "same"
kind = "eval.compare"
with = { first = "{{ steps.eval.outputs.items }}", second = "{{ steps.eval.outputs.items }}" }
[[step]]
id = "gate"
kind = "gate"
with = { rule = "t.pairs.acc_low > 0 and t.pairs.groups.b.acc <= 1 and p == 1", inputs = { t = "{{ steps.eval.values.tasks }}", p = "{{ steps.same.values.least_p }}" } }
"#;

fn lab() -> Sandbox {
    let sandbox = Sandbox::new();
    tiny_model(&sandbox.path("model"));
    let mut lines = String::new();
    for n in 0..PAIRS {
        let sentence = format!("The {n} cats near the {} houses ", n % 97).repeat(6);
        let group = if n % 2 == 0 { "a" } else { "b" };
        let pair = json!({ "sentence_good": format!("{sentence}see."), "sentence_bad": format!("{sentence}sees."), "UID": group });
        writeln!(lines, "{pair}").unwrap();
    }
    sandbox.write("pairs.jsonl", lines);
    sandbox.write("measure.toml", WORKFLOW);
    sandbox
}

/// Items of the newest checkpoint.
fn saved(sandbox: &Sandbox) -> u64 {
    if sandbox.query_count("checkpoint") == 0 {
        return 0;
    }
    let found = sandbox.query("SELECT max(json_extract(state, '$.items')) FROM checkpoint");
    found[0].parse().unwrap_or(0)
}

#[test]
fn kills_cost_seconds_and_no_bit() {
    let undisturbed = lab();
    undisturbed.stepwell(&["run", "measure.toml"]).ok();
    let sandbox = lab();
    let mut known = 0;
    for kill in 0..KILLS {
        let words: &[&str] = if kill == 0 { &["run", "measure.toml"] } else { &["resume", "last"] };
        let mut engine = sandbox.start(words);
        eventually("a checkpoint with more items", || saved(&sandbox) > known);
        kill_with_workers(&mut engine);
        let now = saved(&sandbox);
        assert!(now > known && now < PAIRS as u64, "kill {kill}: {known}, then {now}");
        known = now;
    }
    sandbox.stepwell(&["resume", "last"]).ok();
    assert_eq!(sandbox.digests(), undisturbed.digests());
    let finished = sandbox.show();
    let steps = finished["steps"].as_array().unwrap();
    let eval = steps.iter().find(|step| step["id"] == "eval").unwrap();
    assert_eq!(eval["values"]["tasks"]["pairs"]["items"], PAIRS);
    sandbox.stepwell(&["db", "check"]).ok();
}
