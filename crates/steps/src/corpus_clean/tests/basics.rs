//! Tests the step: both ways to split, shards, counts and refusals.

use std::collections::BTreeSet;

use serde_json::json;

use crate::corpus_clean::CORPUS_CLEAN;
use crate::corpus_clean::split::Split;
use crate::grammar::Grammar;
use crate::tests::{Recorder, StepLab};

#[test]
fn the_step_tells_what_nfkc_changed_and_which_invisible_characters_were_all_there_was() {
    let lab = StepLab::new();
    let texts = ["x\u{b2} and \u{bd} of it", "plain text here", "cafe\u{301}"];
    let mut recorder = Recorder::default();
    let with = json!({"documents": lab.documents(&texts)});
    let outputs = lab.run_recorded(&CORPUS_CLEAN, &with, &mut recorder).unwrap();
    assert_eq!((&outputs.values["nfkc"], &outputs.values["nfkc_changed"]), (&json!(true), &json!(2)));
    assert!(recorder.notes[0].starts_with("NFKC changed 2 texts, such as `\u{b2}` to `2`; "), "{:?}", recorder.notes);
    let with = json!({"documents": lab.documents(&texts), "nfkc": false});
    let mut recorder = Recorder::default();
    let outputs = lab.run_recorded(&CORPUS_CLEAN, &with, &mut recorder).unwrap();
    assert_eq!((&outputs.values["nfkc"], &outputs.values["nfkc_changed"]), (&json!(false), &json!(0)));
    assert!(recorder.notes.is_empty());
    let with = json!({"documents": lab.documents(&["\u{200B}\u{FEFF}"])});
    let failure = lab.run(&CORPUS_CLEAN, &with).unwrap_err();
    assert!(
        failure.message.ends_with("texts of U+200B (zero width space), U+FEFF (byte order mark) only"),
        "{failure}"
    );
}

impl StepLab {
    /// Runs the same step on equal documents in this lab.
    fn run_on(&self, texts: &[String], with: &serde_json::Value) -> stepwell_base::artifact::Outputs {
        self.documents(texts);
        self.run(&CORPUS_CLEAN, with).unwrap()
    }
}

fn grammar_documents(count: u64) -> Vec<String> {
    let grammar = Grammar::new(3);
    (0..count).map(|index| grammar.document(index)).collect()
}

#[test]
fn the_hash_split_is_stable_when_documents_are_reordered_or_added() {
    let (lab, mut texts) = (StepLab::new(), grammar_documents(200));
    let validation = |texts: &[String]| {
        let with = json!({"documents": lab.documents(texts)});
        let outputs = lab.run(&CORPUS_CLEAN, &with).unwrap();
        lab.documents_of(&outputs.artifacts["validation"])
            .into_iter()
            .map(|document| document.text)
            .collect::<BTreeSet<_>>()
    };
    let before = validation(&texts);
    assert!((8..=35).contains(&before.len()), "{} of 200", before.len());
    texts.reverse();
    assert_eq!(before, validation(&texts));
    texts.extend(grammar_documents(260).split_off(200));
    assert!(validation(&texts).is_superset(&before));
}

#[test]
fn shards_hold_every_training_document_once_and_in_order() {
    let (lab, texts) = (StepLab::new(), grammar_documents(150));
    let with = json!({"documents": lab.documents(&texts), "shard_bytes": 20_000});
    let outputs = lab.run(&CORPUS_CLEAN, &with).unwrap();
    let train = lab.documents_of(&outputs.artifacts["train"]);
    let validation = lab.documents_of(&outputs.artifacts["validation"]);
    let tree = lab.artifacts.read_tree(&outputs.artifacts["train"]).unwrap();
    assert_eq!(outputs.values["shards"], tree.entries.len());
    assert!(tree.entries.len() > 3);
    assert_eq!(tree.entries.keys().next().unwrap(), "shard-00000.jsonl");
    assert_eq!(outputs.values["train_documents"], train.len());
    assert_eq!(outputs.values["validation_documents"], validation.len());
    assert_eq!(train.len() + validation.len(), 150);
    let numbers: Vec<u32> = train.iter().map(|document| document.id["test:".len()..].parse().unwrap()).collect();
    assert!(numbers.is_sorted());
    let bytes: usize = train.iter().map(|document| document.text.len()).sum();
    assert_eq!(outputs.values["train_bytes"], bytes);
    assert_eq!(outputs, StepLab::new().run_on(&texts, &with));
}

#[test]
fn the_tail_of_a_single_document_is_cut_between_characters() {
    let lab = StepLab::new();
    let text = "\u{4e2d}".repeat(100);
    let with = json!({"documents": lab.documents(&[&text]), "validation_fraction": 0.105});
    let outputs = lab.run(&CORPUS_CLEAN, &with).unwrap();
    let train = lab.documents_of(&outputs.artifacts["train"]).remove(0).text;
    let validation = lab.documents_of(&outputs.artifacts["validation"]).remove(0).text;
    // 300 bytes; the cut at byte 268 moves back to a whole character.
    assert_eq!((train.len(), validation.len()), (267, 33));
    assert_eq!(train + &validation, text);
}

#[test]
fn the_tail_may_begin_inside_any_document() {
    let split = Split::tail(0.25, 40);
    assert_eq!(split.divide("0123456789", 0), ("0123456789", ""));
    assert_eq!(split.divide("0123456789", 25), ("01234", "56789"));
    assert_eq!(split.divide("0123456789", 30), ("", "0123456789"));
}

#[test]
fn reasons_are_counted() {
    let lab = StepLab::new();
    let texts = ["a long enough text", "a long enough text", "short", " ", "another long enough text"];
    let with = json!({"documents": lab.documents(&texts), "min_chars": 10});
    let outputs = lab.run(&CORPUS_CLEAN, &with).unwrap();
    assert_eq!(
        outputs.values["dropped"],
        json!({"empty": 1, "too_short": 1, "too_long": 0, "language": 0, "duplicate": 1})
    );
}

#[test]
fn an_empty_part_is_refused_with_a_way_out() {
    let lab = StepLab::new();
    for (texts, extra, message, hint) in [
        (vec!["one text"], json!({"min_chars": 50}), "all 1 documents were dropped: 1 too short", "min_chars"),
        (vec!["one text"], json!({"languages": ["deu"], "max_chars": 9}), "were dropped", "languages"),
        (vec!["ab"], json!({"validation_fraction": 0.9}), "the training set would be empty", "validation_fraction"),
        (
            vec!["ab"],
            json!({"validation": "hash", "validation_fraction": 0.000_001}),
            "the validation set would be empty",
            "tail",
        ),
        (vec!["ab"], json!({"validation_fraction": 1.5}), "must lie between 0 and 1", "0.1"),
        (vec!["ab"], json!({"languages": ["english"]}), "unknown language `english`", "eng"),
        (vec!["ab"], json!({"min_chars": 9, "max_chars": 8}), "`max_chars` (8) is less", "swap"),
        (vec!["ab"], json!({"shard_bytes": 0}), "`shard_bytes` is 0", "4 MiB"),
        (vec![], json!({}), "no document to clean", "corpus.import"),
    ] {
        let mut with = extra;
        with["documents"] = json!(lab.documents::<&str>(&texts));
        let before = lab.published_files();
        let failure = lab.run(&CORPUS_CLEAN, &with).unwrap_err();
        assert!(failure.message.contains(message), "{failure}");
        assert!(failure.hint.as_ref().unwrap().contains(hint), "{:?}", failure.hint);
        assert_eq!(lab.published_files(), before, "{message}: something half-written was left");
    }
}
