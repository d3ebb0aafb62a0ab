//! Bad data, overlaps, and scorers that nobody should read.

use serde_json::{Value, json};

use super::Lab;
use crate::constitution::{CALIBRATE, QUALITY, SENTINELS};

/// A record as it reaches quality control.
fn record(number: usize) -> Value {
    let critique = json!({
        "is_good": true, "predicted_label": "A", "logp_a": -0.1, "logp_b": -3.0, "margin": 2.9, "confident": true,
    });
    let step = json!({
        "step": "constitution.respond", "prompt": "0".repeat(64), "prompt_tokens": 9, "model": "m", "engine": "2/f32",
        "constitution": "0".repeat(64), "seed": 1, "completion_tokens": 12, "finish_reason": "stop",
        "sampling": { "max_tokens": 80, "temperature": 0.4, "top_p": 0.9, "repetition_penalty": 1.1 },
        "guard": { "bos": "none", "special_tokens": 0, "added_by_tokenizer": 0 },
    });
    json!({
        "schema": 1, "id": format!("r-{number}"), "instruction": format!("Name the number {number}."),
        "response": format!("It is {number}."), "metadata": { "steps": [step] },
        "flags": { "runaway": false, "token_limit": false, "leak": false, "empty": false },
        "instruction_critique": critique, "pair_critique": critique,
    })
}

fn records(change: impl Fn(usize, &mut Value)) -> Vec<Value> {
    (0..40)
        .map(|number| {
            let mut record = record(number);
            change(number, &mut record);
            record
        })
        .collect()
}

fn quality(lab: &Lab, records: &[Value]) -> Value {
    json!({ "constitution": "builtin:constitution", "records": lab.lines(records), "evaluation": "builtin:evaluation" })
}

#[test]
fn good_data_become_rows_of_answers() {
    let lab = Lab::new();
    let with = quality(&lab, &records(|number, record| record["pair_critique"]["is_good"] = json!(number != 7)));
    let outputs = lab.run(&QUALITY, &with).unwrap();
    let rows = lab.read(&outputs.artifacts["rows"]);
    assert_eq!(rows.len(), 39, "what its critic refuses is not learned");
    assert_eq!(rows[0], json!({ "prompt": "Instruction: Name the number 0.\nResponse:", "completion": " It is 0." }));
    assert!(!rows.iter().any(|row| row["completion"] == " It is 7."));
    assert_eq!(outputs.values["accepted"], 39);
}

#[test]
fn a_planted_bad_data_set_ends_the_run() {
    let lab = Lab::new();
    for (pointer, value) in [
        ("/flags/runaway", json!(true)),
        ("/flags/leak", json!(true)),
        ("/flags/token_limit", json!(true)),
        ("/pair_critique/is_good", json!(false)),
        ("/instruction_critique/is_good", json!(false)),
        ("/metadata/steps/0/completion_tokens", json!(70)),
    ] {
        let bad = records(|number, record| {
            if number % 4 != 3 {
                *record.pointer_mut(pointer).unwrap() = value.clone();
            }
        });
        assert_eq!(lab.code(&QUALITY, &quality(&lab, &bad)), "quality_refused", "{pointer}");
    }
}

#[test]
fn a_planted_overlap_ends_the_run() {
    let lab = Lab::new();
    let question = "What is the opposite of the word 'hot'?";
    for (text, code) in [
        (question.to_owned(), "overlap_exact"),
        ("what is the OPPOSITE of the word hot".to_owned(), "overlap_normalised"),
    ] {
        let planted = records(|number, record| {
            if number == 5 {
                record["instruction"] = json!(text)
            }
        });
        assert_eq!(lab.code(&QUALITY, &quality(&lab, &planted)), code);
    }
    let long = "Please say in your own words why it is that the sky above us looks blue at noon";
    let item =
        json!({ "id": "e", "type": "why", "instruction": format!("{long}, and nothing else."), "expected": ["light"] });
    let planted = records(|number, record| {
        if number == 5 {
            record["response"] = json!(format!("You ask: {}?", long.to_lowercase()));
        }
    });
    let mut with = quality(&lab, &planted);
    with["evaluation"] = json!(lab.lines(&[item]));
    assert_eq!(lab.code(&QUALITY, &with), "overlap_ngram");
}

#[test]
fn a_scorer_of_length_is_never_read() {
    let lab = Lab::new();
    let with = |scorer: &str| json!({ "scorer": scorer, "gold": "builtin:gold" });
    lab.run(&CALIBRATE, &with("expected")).unwrap();
    assert_eq!(lab.code(&CALIBRATE, &with("length")), "scorer_not_calibrated");
}

#[test]
fn sentinels_are_held_against_a_recorded_baseline() {
    let lab = Lab::new();
    let measured = lab.run(&SENTINELS, &lab.with(json!({}))).unwrap();
    assert_eq!(measured.values["compared"], false);
    let recorded = &measured.artifacts["measured"];
    let again = lab.run(&SENTINELS, &lab.with(json!({ "baseline": recorded }))).unwrap();
    assert_eq!((&again.values["compared"], &again.artifacts["measured"]), (&json!(true), recorded));
    let mut other: Value = serde_json::from_slice(&lab.steps.artifacts.read(recorded).unwrap()).unwrap();
    let rate = other["groups"]["text"].as_f64().unwrap();
    other["groups"]["text"] = json!(1.0 - rate);
    let with = lab.with(json!({ "baseline": lab.text(&other.to_string()) }));
    assert_eq!(lab.code(&SENTINELS, &with), "sentinel_drift");
}
