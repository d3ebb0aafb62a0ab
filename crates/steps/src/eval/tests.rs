use serde_json::{Value, json};

use super::EVAL;
use crate::tests::{Recorder, TrainingLab};
use crate::train::TRAIN;
use crate::{StepError, StepHandler};
use stepwell_base::artifact::Outputs;

fn trained(lab: &TrainingLab) -> Outputs {
    let change = json!({"optimizer": {"learning_rate": 0.02}, "steps": 80, "batch": 8});
    lab.run_once(&TRAIN, lab.train_arguments(change))
}

fn with(lab: &TrainingLab, model: &Outputs, change: Value) -> Value {
    let mut with = json!({
        "model": model.artifacts["model"],
        "tokenizer": lab.tokenizer,
        "validation": lab.validation,
        "device": "flex",
        "samples": {"count": 4, "max_new_tokens": 8},
    });
    with.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    with
}

fn pair(phenomenon: &str, good: &str, bad: &str) -> String {
    json!({"phenomenon": phenomenon, "good": good, "bad": bad}).to_string()
}

#[test]
fn everything_is_measured_and_the_bytes_are_the_same_each_time() {
    let lab = TrainingLab::new();
    let model = trained(&lab);
    let pairs = lab.ndjson(&[
        pair("order", "The cat", "cat The"),
        pair("order", "The dog", "dog The"),
        pair("tie", "The dog", "The dog"),
    ]);
    let arguments = with(&lab, &model, json!({"train_tokens": lab.tokens, "minimal_pairs": pairs}));
    let outputs = lab.run_once(&EVAL, arguments.clone());
    assert_eq!(lab.run_once(&EVAL, arguments), outputs);

    let results = lab.artifacts.read(&outputs.artifacts["results"]).unwrap();
    let file: Value = serde_json::from_slice(&results).unwrap();
    let of = |task: &str, metric: &str| file["results"][task][metric].as_f64().unwrap();
    assert!((of("minimal_pairs", "acc,none") - 2.0 / 3.0).abs() < 1e-9);
    assert_eq!((of("minimal_pairs_order", "acc,none"), of("minimal_pairs_tie", "acc,none")), (1.0, 0.0));
    assert_eq!(of("minimal_pairs_trigram_tie", "acc,none"), 0.0);
    assert!(of("validation_trigram", "bits_per_byte,none") > 0.0);
    let bits = of("validation", "bits_per_byte,none");
    let wanted = of("validation", "nats,none") / 2f64.ln() / of("validation", "bytes,none");
    assert!((bits - wanted).abs() < 1e-9 && bits < 3.0, "{bits}");
    assert_eq!(outputs.values["bits_per_byte"], file["results"]["validation"]["bits_per_byte,none"]);
    assert_eq!(file["samples"].as_array().unwrap().len(), 3);
    assert!(outputs.values["repetition_4"].is_number());
}

#[test]
fn what_is_not_given_is_null() {
    let lab = TrainingLab::new();
    let model = trained(&lab);
    let empty = lab.artifacts.put_bytes(b"", "application/x-ndjson").unwrap();
    let outputs = lab.run_once(&EVAL, with(&lab, &model, json!({"minimal_pairs": empty})));
    for name in ["minimal_pairs_accuracy", "trigram_bits_per_byte", "trigram_minimal_pairs_accuracy"] {
        assert_eq!(outputs.values[name], Value::Null, "{name}");
    }
}

#[test]
fn bad_pairs_are_named_by_line() {
    let lab = TrainingLab::new();
    let model = trained(&lab);
    let refused = |line: String| {
        let pairs = lab.ndjson(&[pair("order", "The cat", "cat The"), line]);
        let with = with(&lab, &model, json!({"minimal_pairs": pairs}));
        match lab.attempt(&EVAL, with, &mut Recorder::default()) {
            Err(StepError::Failed(failure)) => failure.message,
            other => panic!("{other:?}"),
        }
    };
    assert!(refused("{\"good\": 1}".to_owned()).contains("minimal pairs, line 2"));
    assert!(refused(pair("long", &"The cat sees. ".repeat(30), "x")).contains("line 2: a sentence has "));
}

#[test]
fn an_interrupted_evaluation_stops_and_the_backend_is_the_fingerprint() {
    let lab = TrainingLab::new();
    let model = trained(&lab);
    let with = with(&lab, &model, json!({}));
    let mut recorder = Recorder { stop_after: Some(0), ..Recorder::default() };
    assert!(matches!(lab.attempt(&EVAL, with.clone(), &mut recorder), Err(StepError::Interrupted)));
    assert_eq!(EVAL.fingerprint(&with).unwrap(), json!({"backend": "flex"}));
}
