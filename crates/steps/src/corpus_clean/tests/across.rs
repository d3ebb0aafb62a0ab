//! Tests what compares documents with each other: near-duplicates and contamination.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::corpus_clean::CORPUS_CLEAN;
use crate::grammar::Grammar;
use crate::tests::StepLab;
use stepwell_base::artifact::{ArtifactRef, Outputs};

pub fn texts(count: u64) -> Vec<String> {
    let grammar = Grammar::new(11);
    (0..count).map(|index| grammar.document(index)).collect()
}

pub fn report(lab: &StepLab, outputs: &Outputs) -> Value {
    serde_json::from_slice(&lab.artifacts.read(&outputs.artifacts["report"]).unwrap()).unwrap()
}

pub fn row<'a>(report: &'a Value, reason: &str) -> &'a Value {
    report["dropped"].as_array().unwrap().iter().find(|row| row["reason"] == reason).unwrap()
}

fn texts_of(lab: &StepLab, artifact: &ArtifactRef) -> BTreeSet<String> {
    lab.documents_of(artifact).into_iter().map(|document| document.text).collect()
}

/// The text with one word in the middle replaced.
fn altered(text: &str, word: &str) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let middle = words.len() / 2;
    [&words[..middle], &[word], &words[middle + 1..]].concat().join(" ")
}

#[test]
fn near_duplicates_go_within_and_across_sources_and_the_first_stays() {
    let lab = StepLab::new();
    let originals = texts(120);
    let mut first: Vec<String> = originals.clone();
    first.extend(originals[..10].iter().map(|text| altered(text, "walrus")));
    let second: Vec<String> = originals[20..35].iter().map(|text| altered(text, "pelican")).collect();
    // Sources are told apart by the names in document ids.
    let named = |name: &str, texts: &[String]| {
        let lines: Vec<String> = texts
            .iter()
            .enumerate()
            .map(|(n, text)| json!({"id": format!("{name}:{n}"), "text": text}).to_string() + "\n")
            .collect();
        lab.artifacts.put_bytes(lines.concat().as_bytes(), "application/x-ndjson").unwrap()
    };
    let documents = json!([named("web", &first), named("books", &second)]);
    let outputs = lab.run(&CORPUS_CLEAN, &json!({"documents": documents, "near_duplicates": 0.7})).unwrap();
    assert_eq!(outputs.values["dropped"]["near_duplicate"], 25);
    let report = report(&lab, &outputs);
    assert_eq!(report["near_duplicates"], json!({"within_sources": 10, "across_sources": 15}));
    let kept: BTreeSet<String> =
        ["train", "validation"].iter().flat_map(|part| texts_of(&lab, &outputs.artifacts[*part])).collect();
    assert_eq!(kept, originals.iter().cloned().collect());
    let samples = row(&report, "near_duplicate")["samples"].as_array().unwrap().clone();
    assert_eq!(samples.len(), 5);
    for sample in samples {
        assert!(sample["like"].as_str().unwrap().starts_with("web:"), "{sample}");
        assert!(sample["value"].as_f64().unwrap() >= 0.7);
    }
    // Off, everything stays.
    let outputs = lab.run(&CORPUS_CLEAN, &json!({"documents": documents})).unwrap();
    let sum = |name: &str| outputs.values[name].as_u64().unwrap();
    assert_eq!(sum("train_documents") + sum("validation_documents"), 145);
}

#[test]
fn training_text_that_held_out_text_shares_is_dropped() {
    let lab = StepLab::new();
    let mut all = texts(150);
    let plain = lab.run(&CORPUS_CLEAN, &json!({"documents": lab.documents(&all)})).unwrap();
    let held_out = lab.documents_of(&plain.artifacts["validation"]);
    assert!(held_out.len() > 3);
    // A training document that quotes fourteen words of a held-out one, with other case and punctuation.
    let quote: Vec<String> = held_out[0].text.split(' ').skip(20).take(14).map(str::to_uppercase).collect();
    let quoting: Vec<String> =
        (0..40).map(|n| format!("Somebody {n} said: \"{}\"; nobody else did {n}.", quote.join(", "))).collect();
    all.extend(quoting.iter().cloned());
    let quiz =
        "What stands between seven white houses, near the old bridge of stone, facing north towards the sea at dawn?";
    all.push(format!("A long introduction to some question. {quiz} And then an answer that is wrong."));
    let evaluation = lab.documents(&[quiz, "too short to compare"]);
    let with = json!({"documents": lab.documents(&all), "contamination_words": 13, "evaluation": [evaluation]});
    let outputs = lab.run(&CORPUS_CLEAN, &with).unwrap();
    let train = texts_of(&lab, &outputs.artifacts["train"]);
    let validation = texts_of(&lab, &outputs.artifacts["validation"]);
    for text in &quoting {
        assert!(!train.contains(text), "{text}");
    }
    assert!(!train.iter().any(|text| text.contains("seven white houses")));
    let report = report(&lab, &outputs);
    assert_eq!(report["contamination"]["too_short"], 1);
    let dropped = row(&report, "contaminated");
    assert_eq!(dropped["documents"].as_u64().unwrap() as usize, all.len() - train.len() - validation.len());
    assert!(dropped["documents"].as_u64().unwrap() >= 1);
    let shared = dropped["samples"][0]["text"].as_str().unwrap();
    assert_eq!(shared.split(' ').count(), 13, "{shared}");
    // A sequence of more words than any text shares drops nothing.
    let with = json!({"documents": lab.documents(&all), "contamination_words": 100});
    assert_eq!(lab.run(&CORPUS_CLEAN, &with).unwrap().values["dropped"]["contaminated"], 0);
}

/// Twelve shared words are chance, thirteen are a copy.
#[test]
fn contamination_counts_words_exactly() {
    let lab = StepLab::new();
    let word = |n: usize| format!("word{n}");
    let quoted = |count: usize, mark: &str| {
        let quote: Vec<String> = (5..5 + count).map(word).collect();
        format!("Somebody wrote {mark} before {} and {mark} behind it", quote.join(" "))
    };
    let evaluation = (0..40).map(word).collect::<Vec<_>>().join(" ");
    let mut all = vec![quoted(12, "twelve"), quoted(13, "thirteen"), quoted(14, "fourteen")];
    all.extend(texts(20));
    let with = json!({
        "documents": lab.documents(&all),
        "contamination_words": 13,
        "evaluation": [lab.documents(&[evaluation])],
        "validation": "tail",
    });
    let outputs = lab.run(&CORPUS_CLEAN, &with).unwrap();
    let train = texts_of(&lab, &outputs.artifacts["train"]);
    let kept: Vec<bool> = all[..3].iter().map(|text| train.contains(text)).collect();
    assert_eq!(kept, [true, false, false]);
}
