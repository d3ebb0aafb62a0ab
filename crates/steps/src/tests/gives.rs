//! Tests that each kind gives exactly the names it declares, because validation refuses every other name.

use std::collections::BTreeSet;

use serde_json::json;

use super::TrainingLab;
use crate::constitution::tests as constitution;
use crate::{
    ADAPTER_IMPORT, ADAPTER_MERGE, CORPUS_CLEAN, CORPUS_IMPORT, EVAL, EVAL_COMPARE, EXPORT, FIND_RATE, GENERATE,
    Highlight, INFER, INFER_CELLS, INFER_MATRIX, INFER_MEASURE, MODEL_EVAL, MODEL_EXPORT, MODEL_IMPORT,
    PREFERENCES_REFERENCE, PREFERENCES_TOKENIZE, SFT_TOKENIZE, STUDY_REPORT, STUDY_RUNS, StepHandler, TOKENIZE,
    TOKENIZER_TRAIN, TRAIN, registry,
};
use stepwell_base::artifact::Outputs;
use stepwell_workflow::catalog::Given;

fn names(given: Given) -> BTreeSet<String> {
    let names = given.names().unwrap_or_else(|| panic!("{given:?}"));
    names.into_iter().map(|(name, _)| name.to_owned()).collect()
}

#[track_caller]
fn check(handler: &dyn StepHandler, given: &Outputs) {
    let kind = handler.kind();
    let outputs: BTreeSet<String> = given.artifacts.keys().cloned().collect();
    let values: BTreeSet<String> = given.values.keys().cloned().collect();
    assert_eq!(outputs, names(handler.gives().outputs), "outputs of {kind}");
    assert_eq!(values, names(handler.gives().values), "values of {kind}");
}

#[test]
fn a_highlight_is_among_the_declared_names() {
    for kind in registry() {
        let declared = match kind.highlight() {
            Highlight::Nothing | Highlight::Numbers => true,
            Highlight::Texts(value) => kind.gives().values.declares(value),
            Highlight::Folder(output) => kind.gives().outputs.declares(output),
        };
        assert!(declared, "{}: {:?}", kind.kind(), kind.highlight());
    }
}

#[test]
fn the_declared_names_are_the_given_ones() {
    let lab = TrainingLab::new();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let constitution = constitution::Lab::new();
    constitution::pipeline(&constitution, 1, |kind, with| {
        let given = constitution.run(kind, with).unwrap();
        check(kind, &given);
        seen.insert(kind.kind());
        given
    });
    let mut run = |handler: &'static dyn StepHandler, with| {
        let given = lab.run_once(handler, with);
        check(handler, &given);
        seen.insert(handler.kind());
        given.artifacts
    };
    let imported = run(&CORPUS_IMPORT, json!({ "source": "builtin:grammar", "documents": 120 }));
    let cleaned = run(&CORPUS_CLEAN, json!({ "documents": imported["documents"] }));
    run(&TOKENIZER_TRAIN, json!({ "documents": cleaned["train"], "vocab_size": 300 }));
    run(&TOKENIZE, json!({ "documents": cleaned["train"], "tokenizer": lab.tokenizer }));
    let base = lab.run_once(&TRAIN, lab.train_arguments(json!({ "steps": 2 }))).artifacts["model"].clone();
    // Only a training of adapters gives all outputs.
    let mut with = lab.train_arguments(json!({ "steps": 2, "checkpoint_every": 2, "from": base, "lora": {} }));
    with.as_object_mut().unwrap().remove("model");
    let trained = run(&TRAIN, with);
    run(&ADAPTER_MERGE, json!({ "model": base, "adapter": trained["adapter"] }));
    let folder = lab.steps.directory.path().join("adapter");
    lab.artifacts.materialise(&trained["adapter"], &folder).unwrap();
    run(&ADAPTER_IMPORT, json!({ "source": folder }));
    let sweep = json!({ "train": lab.train_arguments(json!({})), "steps": 10 });
    run(&FIND_RATE, sweep);
    let with = json!({ "model": trained["model"], "tokenizer": lab.tokenizer });
    run(&GENERATE, json!({ "model": trained["model"], "tokenizer": lab.tokenizer, "max_new_tokens": 2 }));
    let exported = run(&EXPORT, with.clone());
    let body = json!({ "model": "m", "prompt": "The cat", "max_tokens": 2 });
    let request = json!({ "custom_id": "a", "method": "POST", "url": "/v1/completions", "body": body });
    run(&INFER, json!({ "model": exported["folder"], "requests": lab.ndjson(&[request.to_string()]) }));
    let cells = json!({ "models": ["m"], "dtypes": ["f32"], "batches": [1], "concurrency": [1] });
    run(&INFER_CELLS, cells);
    run(
        &INFER_MEASURE,
        json!({ "model": exported["folder"], "batch": 1, "concurrency": 1, "max_tokens": 2, "prompt_words": 2 }),
    );
    run(&INFER_MATRIX, json!({ "cells": [] }));
    run(&STUDY_RUNS, json!({ "arms": [{ "name": "a" }, { "name": "b" }], "seeds": [1] }));
    run(
        &STUDY_REPORT,
        json!({ "runs": [{ "item": { "name": "a", "seed": 1 }, "values": { "loss": 1 } }], "value": "loss" }),
    );
    let tiny = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/golden/export_tiny");
    let model = run(&MODEL_IMPORT, json!({ "source": tiny }));
    run(&MODEL_EXPORT, json!({ "model": model["model"] }));
    let example = json!({ "prompt": "The cat", "completion": " sees." }).to_string();
    run(&SFT_TOKENIZE, json!({ "rows": lab.ndjson(&[example]), "model": model["model"] }));
    let pair = json!({ "prompt": "The cat", "chosen": " sees.", "rejected": " is." }).to_string();
    let pairs = run(&PREFERENCES_TOKENIZE, json!({ "rows": lab.ndjson(&[pair]), "model": model["model"] }));
    run(&PREFERENCES_REFERENCE, json!({ "tokens": [pairs["tokens"]], "model": model["model"], "device": "flex" }));
    let measured = run(
        &MODEL_EVAL,
        json!({ "model": model["model"], "documents": lab.ndjson(&[json!({ "id": "a", "text": "The cat sees." }).to_string()]) }),
    );
    run(&EVAL_COMPARE, json!({ "first": measured["items"], "second": measured["items"] }));
    let mut eval = with;
    eval["validation"] = json!(lab.validation);
    eval["samples"] = json!({ "count": 1, "max_new_tokens": 2 });
    run(&EVAL, eval);
    let named = registry().iter().filter(|kind| kind.gives().values.names().is_some_and(|names| !names.is_empty()));
    let decided = ["gate", "approval", "signal"];
    let missing: Vec<&str> =
        named.map(|kind| kind.kind()).filter(|kind| !seen.contains(kind) && !decided.contains(kind)).collect();
    assert!(missing.is_empty(), "no test runs {missing:?}");
}
