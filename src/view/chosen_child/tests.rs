use serde_json::{Value, json};

use super::{StepSpecs, chosen};
use crate::tests::lab::{Lab, Sketch};
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::ids::{Fence, RunId, StepId, StepKey};
use stepwell_run::event::StepEventKind;

const SELECT: &str = r#"
name = "select"
[[step]]
id = "count"
kind = "command"
for_each = "[\"data/1.txt\", \"data/2.txt\"]"
with = { argv = ["wc", "{{ item }}"], outputs = { n = "n" } }
[[step]]
id = "best"
kind = "command"
with = { argv = ["cat", "{{ (steps.count | best(by=\"values.n\")).outputs.n }}"] }
[[step]]
id = "all"
kind = "command"
with = { argv = ["echo", "{{ steps.count.outputs.n }}"] }
"#;

fn artifact(digit: &str) -> ArtifactRef {
    serde_json::from_value(json!({ "digest": digit.repeat(64), "size": 1, "media_type": "text/plain" })).unwrap()
}

fn start(lab: &mut Lab, run: RunId, step: &str, with: Value) {
    lab.ready(run, 3, step);
    let kind = StepEventKind::AttemptStarted {
        attempt: 1,
        key: StepKey(format!("key-{step}")),
        with,
        lease_expires_at: crate::tests::lab::at(900),
        resources: Default::default(),
    };
    lab.commit(run, 3, [kind.under(step.into(), Fence(1))]);
    let outputs = Outputs::default();
    lab.commit(run, 4, [StepEventKind::Succeeded { outputs }.under(step.into(), Fence(1))]);
}

#[test]
fn the_item_whose_output_the_step_reads_was_chosen() {
    let mut lab = Lab::new();
    let run = lab.run(Sketch { name: "r", workflow: SELECT, ..Sketch::default() });
    lab.expand(run, 1, "count", vec![json!("data/1.txt"), json!("data/2.txt")]);
    for (item, digit) in [("count[0]", "a"), ("count[1]", "b")] {
        lab.start(run, 2, item);
        let artifacts = [("n".to_owned(), artifact(digit))].into();
        let outputs = Outputs { artifacts, ..Outputs::default() };
        lab.commit(run, 2, [StepEventKind::Succeeded { outputs }.under(item.into(), Fence(1))]);
    }
    start(&mut lab, run, "best", json!({ "argv": ["cat", artifact("b")] }));
    start(&mut lab, run, "all", json!({ "argv": ["echo", [artifact("a"), artifact("b")]] }));
    let reader = lab.session().reader().unwrap();
    let spec = reader.spec(run).unwrap();
    let found = |step: &str| {
        chosen(&reader, run, &StepSpecs::of(&spec), &reader.step(run, &StepId::from(step)).unwrap()).unwrap()
    };
    assert_eq!(found("best"), ["chose count[1] (item data/2.txt)"]);
    assert_eq!(found("all"), Vec::<String>::new());
}
