use std::path::Path;

use serde_json::{Value, json};

use super::MODEL_EVAL;
use crate::tests::{Recorder, StepLab};
use crate::{INFER, MODEL_IMPORT, StepError, StepHandler, Surroundings};

/// A lab with an imported model and documents, and the arguments of an evaluation.
fn lab() -> (StepLab, Value) {
    let lab = StepLab::new();
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/golden/export_tiny");
    let model = lab.run(&MODEL_IMPORT, &json!({ "source": tiny })).unwrap().artifacts["model"].clone();
    let line = |n: usize| json!({ "id": format!("d:{n}"), "text": "The teacher sees 12 cats. ".repeat(1 + n % 7) });
    let lines: Vec<String> = (0..30).map(|n| line(n).to_string()).collect();
    let documents = lab.artifacts.put_bytes((lines.join("\n") + "\n").as_bytes(), "application/x-ndjson").unwrap();
    (lab, json!({ "model": model, "documents": documents, "context": 24 }))
}

fn file(lab: &StepLab, name: &str, lines: &[Value]) -> String {
    let path = lab.directory.path().join(name);
    std::fs::write(&path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    path.to_str().unwrap().to_owned()
}

fn with_tasks(lab: &StepLab, mut with: Value) -> Value {
    let choices: Vec<Value> = (0..40)
        .map(|n| json!({ "context": format!("The teacher {n} sees"), "choices": ["cats", "a dog", "12"], "gold": n % 3 }))
        .collect();
    let pairs: Vec<Value> = (0..20)
        .map(|n| json!({ "sentence_good": format!("Cats {n} see."), "sentence_bad": format!("Cats {n} sees."), "UID": if n % 2 == 0 { "a" } else { "b" } }))
        .collect();
    with["tasks"] = json!([
        { "name": "cloze", "choices": file(lab, "cloze.jsonl", &choices) },
        { "name": "blimp", "pairs": file(lab, "blimp.jsonl", &pairs) },
        { "name": "sums", "generated": "arithmetic", "count": 5, "shots": 0, "size": 1 },
    ]);
    with
}

#[test]
fn the_sum_is_that_of_the_scores_of_a_batch() {
    let (lab, mut with) = lab();
    let text = "The teacher sees 12 cats.";
    let one = json!({ "id": "a", "text": text }).to_string() + "\n";
    with["documents"] = json!(lab.artifacts.put_bytes(one.as_bytes(), "application/x-ndjson").unwrap());
    let values = lab.run(&MODEL_EVAL, &with).unwrap().values;
    let body = json!({ "model": "m", "prompt": text, "max_tokens": 0, "echo": true, "logprobs": 0 });
    let row = json!({ "custom_id": "a", "method": "POST", "url": "/v1/completions", "body": body }).to_string();
    let requests = lab.directory.path().join("requests.jsonl");
    std::fs::write(&requests, row).unwrap();
    let outputs = lab.run(&INFER, &json!({ "model": with["model"], "requests": requests })).unwrap();
    let line: Value = serde_json::from_slice(&lab.artifacts.read(&outputs.artifacts["output"]).unwrap()).unwrap();
    let scores = line["response"]["body"]["choices"][0]["logprobs"]["token_logprobs"].as_array().unwrap().clone();
    let nats: f64 = scores.iter().filter_map(Value::as_f64).map(|score| -score).sum();
    let perplexity = (nats / (scores.len() - 1) as f64).exp();
    assert!((values["perplexity"].as_f64().unwrap() / perplexity - 1.0).abs() < 1e-6, "{values:?} {perplexity}");
}

#[test]
fn tasks_sources_and_documents_are_measured_together() {
    let (lab, with) = lab();
    let mut with = with_tasks(&lab, with);
    with["sources"] = json!({ "again": with["documents"] });
    let outputs = lab.run(&MODEL_EVAL, &with).unwrap();
    let tasks = &outputs.values["tasks"];
    assert_eq!(tasks["again"]["bits_per_byte"], outputs.values["bits_per_byte"]);
    assert_eq!(
        (&tasks["cloze"]["items"], &tasks["blimp"]["items"], &tasks["sums"]["items"]),
        (&json!(40), &json!(20), &json!(5))
    );
    for metric in ["acc", "acc_norm", "acc_bytes", "acc_low", "acc_high"] {
        assert!((0.0..=1.0).contains(&tasks["cloze"][metric].as_f64().unwrap()), "{metric}");
    }
    let file: Value = serde_json::from_slice(&lab.artifacts.read(&outputs.artifacts["results"]).unwrap()).unwrap();
    assert_eq!(file["results"]["cloze"]["acc,none"], tasks["cloze"]["acc"]);
    assert_eq!(file["n-samples"]["documents"]["effective"], 30);
    assert!(file["results"]["blimp_a"]["acc,none"].is_number());
    let items = String::from_utf8(lab.artifacts.read(&outputs.artifacts["items"]).unwrap()).unwrap();
    assert_eq!(items.lines().count(), 30 + 30 + 40 + 20 + 5);
}

#[test]
fn baselines_and_measures_of_samples_stand_beside() {
    let (lab, with) = lab();
    let mut with = with_tasks(&lab, with);
    with["training"] = json!([with["documents"]]);
    with["samples"] = json!({ "count": 20, "max_new_tokens": 12 });
    let outputs = lab.run(&MODEL_EVAL, &with).unwrap();
    let tasks = &outputs.values["tasks"];
    let number = |path: &str| tasks.pointer(path).unwrap_or_else(|| panic!("{path}")).as_f64().unwrap();
    // The text repeats itself: counts learn it, weights of no training do not.
    assert!(number("/documents/trigram/bits_per_byte") < number("/documents/unigram/bits_per_byte"));
    assert!(number("/documents/unigram/bits_per_byte") < number("/documents/bits_per_byte"));
    assert!(
        (0.0..=1.0).contains(&number("/cloze/trigram/acc"))
            && (0.0..=1.0).contains(&number("/blimp/unigram/groups/a/acc"))
    );
    assert!(tasks["sums"].get("trigram").is_none());
    for measure in ["distinct_1", "distinct_2", "repetition_4", "eos_rate", "novelty_4", "novelty_8"] {
        assert!((0.0..=1.0).contains(&number(&format!("/generation/{measure}"))), "{measure}");
    }
    assert!(number("/generation/novelty_8") >= number("/generation/novelty_4"));
    let file: Value = serde_json::from_slice(&lab.artifacts.read(&outputs.artifacts["results"]).unwrap()).unwrap();
    assert_eq!(file["samples"].as_array().unwrap().len(), 3);
    assert!(file["results"]["documents_trigram"]["bits_per_byte,none"].is_number());
    assert_eq!(lab.run(&MODEL_EVAL, &with).unwrap(), outputs);
}

/// An attempt after a kill has the bits of an uninterrupted one, and repeats nothing that was committed.
#[test]
fn an_evaluation_that_resumes_gives_the_same_bits() {
    let (lab, with) = lab();
    let with = with_tasks(&lab, with);
    let whole = lab.run(&MODEL_EVAL, &with).unwrap();
    let items = String::from_utf8(lab.artifacts.read(&whole.artifacts["items"]).unwrap()).unwrap();
    let lines: Vec<&str> = items.split_inclusive('\n').collect();
    for known in [1, 11, 30, 46, 75, 94] {
        let segment = lab.artifacts.put_bytes(lines[..known].concat().as_bytes(), "application/x-ndjson").unwrap();
        let artifact = lab.artifacts.put_tree(&[("000000000001.jsonl".to_owned(), segment)].into()).unwrap();
        let mut recorder = Recorder::default();
        recorder.checkpoints.push(stepwell_base::checkpoint::Checkpoint {
            artifact: Some(artifact),
            state: json!({ "format": 1, "items": known }),
            ..Default::default()
        });
        let resumed = lab.attempt_of(&MODEL_EVAL, &with, &mut recorder).unwrap();
        assert_eq!(resumed, whole, "after {known} items");
        let first = recorder.progress.first().unwrap().done;
        assert!(first > 0, "{known}");
    }
}

#[test]
fn a_file_that_is_not_that_of_the_key_is_refused_and_so_is_a_bad_line() {
    let (lab, with) = lab();
    let with = with_tasks(&lab, with);
    let surroundings = Surroundings { project: Path::new(""), file: None, earlier: None };
    let fingerprint = MODEL_EVAL.fingerprint_in(&with, &surroundings).unwrap();
    file(&lab, "cloze.jsonl", &[json!({ "context": "a", "choices": ["b", "c"], "gold": 0 })]);
    assert_ne!(MODEL_EVAL.fingerprint_in(&with, &surroundings).unwrap(), fingerprint);
    let changed = lab.attempt_with(&with, fingerprint, &mut Recorder::default(), |context| MODEL_EVAL.run(context));
    let Err(StepError::Failed(failure)) = changed else { panic!() };
    assert!(failure.message.contains("`cloze` has changed"), "{failure}");
    file(&lab, "cloze.jsonl", &[json!({ "context": "a", "choices": ["b", "c"], "gold": 0 }), json!({})]);
    let failure = lab.run(&MODEL_EVAL, &with).unwrap_err();
    assert!(failure.message.contains("line 2: missing field"), "{failure}");
    let long = json!({ "context": "a", "choices": ["b", "c ".repeat(60)], "gold": 0 });
    file(&lab, "cloze.jsonl", &[long]);
    let failure = lab.run(&MODEL_EVAL, &with).unwrap_err();
    assert!(failure.message.contains("line 1: ") && failure.message.contains("do not fit into the 24"), "{failure}");
}

#[test]
fn nothing_to_measure_and_names_that_are_taken_are_refused_before_the_run() {
    let (lab, with) = lab();
    let refused = |with: &Value| MODEL_EVAL.check(with).unwrap_err().message;
    assert!(refused(&json!({ "model": with["model"] })).contains("nothing to be measured"));
    let mut taken = with_tasks(&lab, with.clone());
    taken["sources"] = json!({ "cloze": with["documents"] });
    assert!(refused(&taken).contains("`cloze` is taken"));
    taken["sources"] = json!({ "documents": with["documents"] });
    assert!(refused(&taken).contains("`documents` is taken"));
}
