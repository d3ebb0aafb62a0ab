use serde_json::{Value, json};

use super::EVAL;
use crate::tests::{Recorder, TrainingLab};
use crate::train::TRAIN;
use crate::{EXPORT, MODEL_EVAL, MODEL_IMPORT, StepError, StepHandler, Surroundings};
use stepwell_base::artifact::{ArtifactRef, Outputs};

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

/// A model has the same numbers on its device and in the engine for any model, and the same bits once it was exported and imported.
#[test]
fn tasks_have_the_same_numbers_by_every_way() {
    let lab = TrainingLab::new();
    let change = json!({"optimizer": {"learning_rate": 0.02}, "steps": 80, "batch": 8, "context": 32});
    let model = lab.run_once(&TRAIN, lab.train_arguments(change));
    let nouns = ["cat", "dog", "bird", "child"];
    let choices: Vec<String> = (0..40)
        .map(|n| {
            let context = format!("The {} sees", nouns[n % 4]);
            json!({"context": context, "choices": ["the cat.", "it.", "cat the", "sees sees sees"], "gold": n % 2})
                .to_string()
        })
        .collect();
    let pairs: Vec<String> =
        nouns.iter().map(|noun| pair("order", &format!("The {noun} sees"), &format!("{noun} The sees"))).collect();
    let tasks = json!([
        {"name": "cloze", "choices": lab.ndjson(&choices)},
        {"name": "order", "pairs": lab.ndjson(&pairs)},
        {"name": "sums", "generated": "arithmetic", "count": 4, "size": 1, "shots": 1},
    ]);
    let own = lab.run_once(
        &EVAL,
        with(&lab, &model, json!({"tasks": tasks, "sources": {"again": lab.validation}, "train_tokens": lab.tokens})),
    );
    let any = |model: &ArtifactRef, tokenizer: Option<&ArtifactRef>| {
        lab.run_once(&MODEL_EVAL, json!({"model": model, "tokenizer": tokenizer, "tasks": tasks}))
    };
    let original = any(&model.artifacts["model"], Some(&lab.tokenizer));
    let exported = lab.run_once(&EXPORT, json!({"model": model.artifacts["model"], "tokenizer": lab.tokenizer}));
    let folder = lab.steps.directory.path().join("exported");
    lab.artifacts.materialise(&exported.artifacts["folder"], &folder).unwrap();
    let imported = lab.steps.run(&MODEL_IMPORT, &json!({"source": folder})).unwrap();
    let imported = any(&imported.artifacts["model"], None);
    assert_eq!(imported.artifacts["items"], original.artifacts["items"], "the same bits");
    let records = |outputs: &Outputs| -> Vec<Value> {
        let text = lab.artifacts.read(&outputs.artifacts["items"]).unwrap();
        text.split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    };
    let (one, other) = (records(&own), records(&original));
    assert_eq!((one.len(), other.len()), (48, 48));
    for (one, other) in one.iter().zip(&other) {
        assert_eq!(
            (&one["scores"], &one["digest"], &one["answer"]),
            (&other["scores"], &other["digest"], &other["answer"])
        );
        let nats = |record: &Value| -> Vec<f64> {
            record["nats"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
        };
        for (one, other) in nats(one).iter().zip(nats(other)) {
            assert!((one - other).abs() < 1e-3, "{one} and {other}");
        }
    }
    let tasks = &own.values["tasks"];
    assert_eq!(tasks["again"]["bits_per_byte"], own.values["bits_per_byte"]);
    assert_eq!(tasks["order"]["acc"], 1.0, "{tasks}");
    assert!(tasks["cloze"]["trigram"]["acc"].is_number() && tasks["sums"].get("trigram").is_none());
    assert_eq!(tasks["validation"]["unigram"]["bits_per_byte"], own.values["unigram_bits_per_byte"]);
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
    let surroundings = Surroundings { project: std::path::Path::new(""), file: None, earlier: None };
    let mut recorder = Recorder { stop_after: Some(0), ..Recorder::default() };
    assert!(matches!(lab.attempt(&EVAL, with.clone(), &mut recorder), Err(StepError::Interrupted)));
    assert_eq!(EVAL.fingerprint_in(&with, &surroundings).unwrap(), json!({"backend": "flex"}));
}
