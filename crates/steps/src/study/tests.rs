use serde_json::{Value, json};

use super::{STUDY_REPORT, STUDY_RUNS};
use crate::StepHandler;
use crate::tests::{Recorder, StepLab};
use stepwell_base::artifact::Outputs;

fn run(lab: &StepLab, handler: &'static dyn StepHandler, with: Value) -> Outputs {
    let mut recorder = Recorder::default();
    lab.attempt(&with, &mut recorder, |context| handler.run(context)).unwrap()
}

fn text(lab: &StepLab, outputs: &Outputs) -> String {
    let folder = lab.artifacts.read_tree(&outputs.artifacts["report"]).unwrap();
    String::from_utf8(lab.artifacts.read(&folder.entries["study.md"]).unwrap()).unwrap()
}

#[test]
fn each_seed_trains_every_arm_before_the_next_seed() {
    let lab = StepLab::new();
    let arms = json!([{ "name": "a" }, { "name": "b", "optimizer": { "kind": "muon" } }]);
    let values = run(&lab, &STUDY_RUNS, json!({ "arms": arms, "seeds": [7, 8] })).values;
    let runs = values["runs"].as_array().unwrap();
    let order: Vec<(&str, u64)> =
        runs.iter().map(|run| (run["name"].as_str().unwrap(), run["seed"].as_u64().unwrap())).collect();
    assert_eq!(order, [("a", 7), ("b", 7), ("a", 8), ("b", 8)]);
    assert_eq!(runs[3]["arm"]["optimizer"]["kind"], "muon");
    assert_eq!(runs[3]["index"], 3);
    for (wrong, message) in [
        (json!({ "arms": [{ "name": "a" }], "seeds": [1] }), "two arms"),
        (json!({ "arms": arms, "seeds": [] }), "a seed"),
        (json!({ "arms": arms, "seeds": [1, 1] }), "twice"),
        (json!({ "arms": [{ "name": "a" }, { "name": "a" }], "seeds": [1] }), "no name of its own"),
        (json!({ "arms": [{ "name": " " }, { "name": "a" }], "seeds": [1] }), "no name of its own"),
        (json!({ "arms": arms, "seeds": (0..600).collect::<Vec<_>>() }), "more than 1000"),
    ] {
        let error = STUDY_RUNS.check(&wrong).unwrap_err();
        assert!(error.message.contains(message), "{}", error.message);
    }
}

fn child(name: &str, seed: u64, loss: f64) -> Value {
    json!({ "item": { "name": name, "seed": seed, "index": 0, "arm": {} }, "values": { "loss": loss, "note": "x" } })
}

/// Seeds differ more than arms: only the pairs show that `b` is better.
#[test]
fn arms_are_compared_seed_by_seed() {
    let lab = StepLab::new();
    let of = |name: &str, less: [f64; 3]| {
        (1_u64..).zip([2.0, 3.0, 4.0]).zip(less).map(|((seed, loss), less)| child(name, seed, loss - less)).collect()
    };
    let runs: Vec<Vec<Value>> =
        vec![of("a", [0.0; 3]), of("b|", [0.10, 0.11, 0.12]), of("c", [0.1, -0.1, 0.01]), of("d", [-0.2, -0.21, -0.2])];
    let with = json!({ "runs": runs.concat(), "value": "loss", "title": "T" });
    let outputs = run(&lab, &STUDY_REPORT, with);
    assert_eq!(outputs.values["best"], "b|");
    let text = text(&lab, &outputs);
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert_eq!(rows[0], "| a | 3 | 3.0000 [0.5159, 5.4841] | 1.0000 |  |  |  |");
    assert_eq!(
        rows[1],
        "| b\\| | 3 | 2.8900 [0.4307, 5.3493] | 0.9900 | -0.1100 [-0.1348, -0.0852] | 0.0041 | better |"
    );
    assert!(rows[2].ends_with("no difference shown |"), "{}", rows[2]);
    assert!(rows[3].ends_with("| worse |"), "{}", rows[3]);
}

#[test]
fn a_training_without_the_number_is_named_and_one_seed_shows_nothing() {
    let lab = StepLab::new();
    let runs = json!([child("a", 1, 2.0), child("b", 1, 1.0)]);
    let outputs = run(&lab, &STUDY_REPORT, json!({ "runs": runs, "value": "loss", "better": "higher" }));
    assert_eq!(outputs.values["best"], "a");
    assert_eq!(outputs.values["arms"][1]["difference"]["p"], Value::Null);
    let text = text(&lab, &outputs);
    assert!(text.contains("| b | 1 | 1.0000 |  | -1.0000 |  | no difference shown |"), "{text}");
    let mut recorder = Recorder::default();
    let with = json!({ "runs": runs, "value": "bits" });
    let error = lab.attempt(&with, &mut recorder, |context| STUDY_REPORT.run(context)).unwrap_err();
    assert!(format!("{error:?}").contains("`a` with seed 1 has no number `bits`"), "{error:?}");
    assert!(STUDY_REPORT.check(&json!({ "runs": runs, "value": "loss", "confidence": 1.0 })).is_err());
}
