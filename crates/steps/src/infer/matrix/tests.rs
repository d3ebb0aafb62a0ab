use serde_json::{Value, json};

use super::cell::Quantiles;
use super::{CELLS, MATRIX, MEASURE};
use crate::tests::{Recorder, StepLab};
use crate::{StepError, StepHandler};
use stepwell_base::artifact::Outputs;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/golden/export_tiny");

fn run(lab: &StepLab, handler: &'static dyn StepHandler, with: Value) -> Outputs {
    let mut recorder = Recorder::default();
    lab.attempt(&with, &mut recorder, |context| handler.run(context)).unwrap()
}

#[test]
fn quantiles_are_values_that_were_there() {
    let quantiles = Quantiles::of((1..=200).rev().map(f64::from).collect());
    assert_eq!(quantiles, Quantiles { p50: 100.0, p90: 180.0, p99: 198.0, max: 200.0 });
    assert_eq!(Quantiles::of(vec![3.0]), Quantiles { p50: 3.0, p90: 3.0, p99: 3.0, max: 3.0 });
    assert_eq!(Quantiles::of(Vec::new()), Quantiles::default());
}

#[test]
fn every_combination_is_a_cell_once() {
    let lab = StepLab::new();
    let with = json!({ "models": ["a", "b"], "dtypes": ["f32", "q8_0"], "batches": [1, 8], "concurrency": [1, 4, 16] });
    let cells = run(&lab, &CELLS, with).values["cells"].clone();
    // A batch of one has one concurrency, a batch of eight has three.
    assert_eq!(cells.as_array().unwrap().len(), 2 * 2 * (1 + 3));
    assert_eq!(cells[3], json!({ "model": "a", "dtype": "f32", "batch": 8, "concurrency": 8 }));
    for wrong in [
        json!({ "models": ["a"], "dtypes": [], "batches": [1], "concurrency": [1] }),
        json!({ "models": ["a"], "dtypes": ["f16"], "batches": [1], "concurrency": [1] }),
        json!({ "models": ["a"], "dtypes": ["f32"], "batches": [0], "concurrency": [1] }),
        json!({ "models": [" "], "dtypes": ["f32"], "batches": [1], "concurrency": [1] }),
        json!({ "models": vec!["a"; 200], "dtypes": ["f32"], "batches": vec![1; 200], "concurrency": [1] }),
    ] {
        assert!(CELLS.check(&wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_cell_counts_what_was_answered_and_what_was_not() {
    let lab = StepLab::new();
    let with = json!({ "model": MODEL, "batch": 5, "concurrency": 2, "prompt_words": 3, "max_tokens": 4 });
    let values = run(&lab, &MEASURE, with).values;
    assert_eq!((&values["completed"], &values["failed"]), (&json!(5), &json!(0)), "{values:?}");
    assert_eq!(values["completion_tokens"], json!(20));
    let quantile = |name: &str, which: &str| values[name][which].as_f64().unwrap();
    assert!(quantile("first_token_seconds", "p50") <= quantile("latency_seconds", "p50"));
    assert!(quantile("latency_seconds", "p50") <= quantile("latency_seconds", "max"));
    assert!(values["tokens_per_second"].as_f64().unwrap() > 0.0);

    let body =
        |tokens: i64| json!({ "model": "m", "prompt": "The cat", "max_tokens": tokens, "n": 2, "temperature": 0 });
    let line = |id: &str, tokens: i64| {
        json!({ "custom_id": id, "method": "POST", "url": "/v1/completions", "body": body(tokens) }).to_string()
    };
    let requests = lab.directory.path().join("requests.jsonl");
    std::fs::write(&requests, [line("good", 2), line("bad", -5)].join("\n")).unwrap();
    let values =
        run(&lab, &MEASURE, json!({ "model": MODEL, "batch": 3, "concurrency": 8, "requests": requests })).values;
    assert_eq!((&values["completed"], &values["failed"]), (&json!(2), &json!(1)), "{values:?}");
    assert_eq!(values["failures"], json!({ "invalid_value": 1 }));
    assert!(values["error"].as_str().unwrap().contains("max_tokens"), "{values:?}");
    assert!(MEASURE.check(&json!({ "model": MODEL, "batch": 1_000_000_000, "concurrency": 1 })).is_err());
}

/// The times of a request start with it, not with the batch.
#[test]
fn no_more_requests_start_than_are_computed_at_once() {
    let lab = StepLab::new();
    let with = json!({ "model": MODEL, "batch": 16, "concurrency": 1, "prompt_words": 3, "max_tokens": 20 });
    let values = run(&lab, &MEASURE, with).values;
    let (half, all) = (values["latency_seconds"]["p50"].as_f64().unwrap(), values["seconds"].as_f64().unwrap());
    assert!(half < all / 4.0, "{half} of {all} s for one of sixteen requests");
}

#[test]
fn a_cell_waits_while_another_one_is_measured() {
    let lab = StepLab::new();
    let other = std::fs::File::create(lab.directory.path().join("measure.lock")).unwrap();
    other.lock().unwrap();
    let mut recorder = Recorder::default();
    recorder.looks_left.set(Some(3));
    let with = json!({ "model": MODEL, "batch": 1, "concurrency": 1, "prompt_words": 3, "max_tokens": 1 });
    let ended = lab.attempt(&with, &mut recorder, |context| MEASURE.run(context));
    assert!(matches!(ended, Err(StepError::Interrupted)), "{ended:?}");
    assert!(recorder.progress.iter().all(|progress| progress.message == "waits for its turn"));
    assert!(!recorder.progress.is_empty());
    drop(other);
    recorder.looks_left.set(None);
    lab.attempt(&with, &mut recorder, |context| MEASURE.run(context)).unwrap();
}

fn cell(model: &str, speed: f64, latency: f64, failed: u64) -> Value {
    let quantiles = json!({ "p50": latency, "p90": latency, "p99": latency, "max": latency });
    let failures = if failed > 0 { json!({ "out_of_memory": failed }) } else { json!({}) };
    json!({
        "index": 0, "outputs": {},
        "item": { "model": model, "dtype": "f32", "batch": 4, "concurrency": 2 },
        "values": {
            "completed": 4 - failed, "failed": failed, "failures": failures, "error": null, "prompt_tokens": 8,
            "completion_tokens": 16, "load_seconds": 0.5, "seconds": 1.0, "tokens_per_second": speed,
            "requests_per_second": 4.0, "first_token_seconds": quantiles, "latency_seconds": quantiles,
            "peak_memory_bytes": 1 << 30,
        },
    })
}

#[test]
fn the_report_names_the_best_cell_without_failures() {
    let lab = StepLab::new();
    let cells = [cell("/m/slow", 10.0, 0.1, 0), cell("/m/<b>fast", 20.0, 0.4, 0), cell("/m/broken", 99.0, 0.01, 1)];
    let outputs = run(&lab, &MATRIX, json!({ "cells": cells, "title": "T & <i>" }));
    assert_eq!((&outputs.values["cells"], &outputs.values["failed"]), (&json!(3), &json!(1)));
    assert_eq!(outputs.values["best"]["model"], json!("/m/<b>fast"));
    let tree = lab.artifacts.read_tree(&outputs.artifacts["report"]).unwrap();
    let read = |name: &str| std::fs::read_to_string(lab.artifacts.verified_path(&tree.entries[name]).unwrap()).unwrap();
    let report: Value = serde_json::from_str(&read("matrix.json")).unwrap();
    assert_eq!(report["best"]["latency"]["model"], json!("/m/slow"));
    assert_eq!(report["cells"][2]["measured"]["failures"], json!({ "out_of_memory": 1 }));
    let page = read("matrix.html");
    assert!(page.contains("T &amp; &lt;i&gt;") && page.contains("&lt;b&gt;fast") && !page.contains("<b>fast"));
    assert!(page.contains("out_of_memory") && page.contains("20.0 tokens/s"));
    // Each cell has its own row with its own numbers, also one that failed.
    let of = |report: &Value| {
        let cells = report["cells"].as_array().unwrap().iter();
        cells.map(|cell| (cell["model"].clone(), cell["measured"]["tokens_per_second"].clone())).collect::<Vec<_>>()
    };
    let speeds = [("/m/slow", 10.0), ("/m/<b>fast", 20.0), ("/m/broken", 99.0)];
    assert_eq!(of(&report), speeds.map(|(model, speed)| (json!(model), json!(speed))));
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("<tr") && line.contains("title=")).collect();
    assert_eq!(rows.len(), 3, "{page}");
    for (row, (name, speed)) in rows.iter().zip([("slow", "10.0"), ("fast", "20.0"), ("broken", "99.0")]) {
        assert!(row.contains(&format!("{name}</th>")) && row.contains(&format!("<td>{speed}")), "{row}");
    }
}
