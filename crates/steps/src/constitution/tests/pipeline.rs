//! All steps in a row: equal bytes from equal seeds, also after interruptions.

use std::cell::Cell;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Lab;
use crate::StepError;
use crate::constitution::{
    CALIBRATE, COMPARE, CRITIQUE, ConstitutionKind, EVALUATE, INSTRUCTIONS, PAIRS, QUALITY, REPORT, RESPOND, REVISE,
    SENTINELS,
};
use crate::tests::Recorder;
use stepwell_base::artifact::{ArtifactRef, Outputs};

/// Runs each step of the pipeline with `run`. Returns all outputs.
pub fn pipeline(
    lab: &Lab,
    seed: u64,
    mut run: impl FnMut(&'static ConstitutionKind, &Value) -> Outputs,
) -> BTreeMap<String, ArtifactRef> {
    let mut all = BTreeMap::new();
    let mut step = |name: &str, kind: &'static ConstitutionKind, with: &Value| {
        let outputs = run(kind, with);
        all.extend(outputs.artifacts.iter().map(|(output, artifact)| (format!("{name}.{output}"), artifact.clone())));
        outputs.artifacts
    };
    let seeded = |more: Value| {
        let mut with = lab.with(more);
        with["seed"] = json!(seed);
        with
    };
    step("sentinels", &SENTINELS, &lab.with(json!({})));
    let made = step("instructions", &INSTRUCTIONS, &seeded(json!({ "count": 10 })));
    let judged =
        step("judge_instructions", &CRITIQUE, &seeded(json!({ "records": made["records"], "of": "instruction" })));
    let answered = step("respond", &RESPOND, &seeded(json!({ "records": judged["records"] })));
    let judged = step("judge_answers", &CRITIQUE, &seeded(json!({ "records": answered["records"], "of": "pair" })));
    let revised = step("revise", &REVISE, &seeded(json!({ "records": judged["records"] })));
    let constitution = lab.text(super::lab::CONSTITUTION);
    let quality =
        json!({ "constitution": constitution, "records": revised["records"], "evaluation": "builtin:evaluation" });
    let good = step("quality", &QUALITY, &quality);
    step("pairs", &PAIRS, &seeded(json!({ "records": good["records"] })));
    let calibrated = step("calibrate", &CALIBRATE, &json!({ "gold": "builtin:gold" }));
    let arm = |arm: &str| {
        lab.with(
            json!({ "items": "builtin:evaluation", "limit": 6, "arm": arm, "calibration": calibrated["calibration"] }),
        )
    };
    let [raw, format, tuned] =
        ["base_raw", "base_format", "tuned"].map(|name| step(name, &EVALUATE, &arm(name))["outcomes"].clone());
    let with = json!({
        "constitution": constitution, "quality": good["summary"], "seed": seed,
        "base_raw": raw, "base_format": format, "tuned": tuned,
    });
    let compared = step("compare", &COMPARE, &with);
    let with = json!({
        "constitution": constitution, "quality": good["summary"], "comparison": compared["comparison"],
        "approval": { "approved": true, "approver": "Ada", "comment": "as a test" },
    });
    step("report", &REPORT, &with);
    all
}

#[test]
fn equal_seeds_give_equal_bytes_and_kills_change_none() {
    let lab = Lab::new();
    let whole = pipeline(&lab, 1, |kind, with| lab.run(kind, with).unwrap());

    let other = Lab::new();
    // Each attempt is asked to stop after a few looks, with what it has done so far kept.
    let mut stopped = 0;
    let resumed = pipeline(&other, 1, |kind, with| {
        let mut recorder = Recorder::default();
        for looks in 1.. {
            recorder.looks_left = Cell::new((looks < 9).then_some(looks * 3));
            match other.attempt(kind, with, &mut recorder) {
                Ok(outputs) => {
                    let _ = std::fs::remove_dir_all(other.steps.step_directory());
                    return outputs;
                }
                Err(StepError::Interrupted) => stopped += 1,
                Err(StepError::Failed(failure)) => panic!("{failure}"),
            }
        }
        unreachable!("the last attempt is not interrupted")
    });
    assert!(stopped > 10, "{stopped} interruptions");
    for (name, artifact) in &whole {
        assert_eq!(artifact, &resumed[name], "{name}");
    }
    let third = pipeline(&other, 2, |kind, with| other.run(kind, with).unwrap());
    assert_ne!(whole["instructions.records"], third["instructions.records"], "another seed, other instructions");
    assert_eq!(whole["base_raw.outcomes"], third["base_raw.outcomes"], "an evaluation is greedy");

    let gate = &lab.steps.artifacts.read(&whole["report.gate"]).unwrap();
    let gate: Value = serde_json::from_slice(gate).unwrap();
    assert_eq!((&gate["schema"], &gate["decision"]), (&json!(1), &json!("iterate")));
    assert_eq!(gate["approval"], json!({ "approved": true, "approver": "Ada", "comment": "as a test" }));
    assert!(!gate["reasons"].as_array().unwrap().is_empty());
}

#[test]
fn every_record_says_where_it_came_from() {
    let lab = Lab::new();
    let all = pipeline(&lab, 1, |kind, with| lab.run(kind, with).unwrap());
    let records = lab.read(&all["quality.records"]);
    let steps: Vec<&Value> = records[0]["metadata"]["steps"].as_array().unwrap().iter().collect();
    let kinds: Vec<&str> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    let expected =
        ["instructions", "critique", "respond", "critique", "revise"].map(|kind| format!("constitution.{kind}"));
    assert_eq!(kinds, expected);
    for step in &steps {
        assert_eq!(step["guard"], json!({ "bos": "none", "special_tokens": 0, "added_by_tokenizer": 0 }));
        assert!(step["seed"].is_u64() && step["model"] == steps[0]["model"] && step["sampling"]["max_tokens"].is_u64());
    }
    // The digest is that of the bytes that the model continued.
    let prompt = format!("Instruction: {}\nResponse:", records[0]["instruction"].as_str().unwrap());
    assert_eq!(steps[2]["prompt"], blake3::hash(prompt.as_bytes()).to_hex().as_str());
    assert_eq!(records[0]["prompt"], prompt);
}
