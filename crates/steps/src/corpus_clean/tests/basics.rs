//! Tests normalisation, filters, deduplication, and both ways to split.

use std::collections::BTreeSet;

use serde_json::json;

use super::CORPUS_CLEAN;
use super::markup::{strip_markup, strip_urls};
use super::normalise::{Cleaner, Reason, Rules};
use super::split::Split;
use crate::grammar::Grammar;
use crate::tests::{Recorder, StepLab};

fn cleaner(rules: Rules) -> Cleaner {
    Cleaner::new(rules)
}

#[test]
fn compatibility_forms_and_control_characters_go() {
    let mut cleaner = cleaner(Rules { nfkc: true, ..Rules::default() });
    assert_eq!(cleaner.clean("\u{FB01}ne \u{FF21}\u{2460}\u{0}\u{7}\tx\r\ny\rz\u{200B}").unwrap(), "fine A1\tx\ny\nz");
    let mut raw = Cleaner::new(Rules::default());
    assert_eq!(raw.clean("\u{FB01}ne").unwrap(), "\u{FB01}ne");
}

/// Neither removed nor kept characters may join two words.
#[test]
fn removed_characters_leave_words_apart() {
    for (text, expected) in [
        ("one\u{200B}two", "one two"),
        ("one \u{200B} two", "one  two"),
        ("one\u{200B}\u{FEFF}\u{0}two\u{200B}", "one two"),
        ("\u{FEFF}end.\u{FEFF}Start", "end. Start"),
        ("page\u{C}page\u{B}line\r\n\u{1F}unit", "page\npage\nline\nunit"),
        (
            "co\u{AD}operate, \u{645}\u{6CC}\u{200C}\u{62E}, a\u{2060}b",
            "co\u{AD}operate, \u{645}\u{6CC}\u{200C}\u{62E}, a\u{2060}b",
        ),
        ("\u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467}", "\u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467}"),
        ("no\u{A0}break", "no\u{A0}break"),
    ] {
        assert_eq!(cleaner(Rules::default()).clean(text).unwrap(), expected, "{text:?}");
    }
    assert_eq!(cleaner(Rules { nfkc: true, ..Rules::default() }).clean("no\u{A0}break").unwrap(), "no break");
    assert_eq!(strip_markup("<td>one</td><td>two</td><ol><li>three</li></ol>"), "one\ntwo\nthree\n");
}

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

#[test]
fn markup_goes_and_what_only_looks_like_it_stays() {
    for (text, expected) in [
        ("<p class=\"a>b\">one</p><p>two &amp; three</p>", "one\ntwo & three\n"),
        ("a < b and c > d, x<y", "a < b and c > d, x<y"),
        ("<script>var x = '<b>';</script>text<!-- no -->!", "text!"),
        ("&lt;b&gt; &#233; &#x4e2d; &nope; AT&T", "<b> \u{e9} \u{4e2d} &nope; AT&T"),
        ("# Title #\n\n> quoted **bold** and *soft* `code`\n- item", "Title\n\nquoted bold and soft code\nitem"),
        ("see [the page](http://x.y/z) and ![a cat](cat.png)", "see the page and a cat"),
        ("snake_case_name and 2 * 3 * 4, #tag", "snake_case_name and 2 * 3 * 4, #tag"),
        ("```rust\nlet x = 1;\n```\nend", "let x = 1;\nend"),
        ("un<b>closed", "unclosed"),
        ("<", "<"),
    ] {
        assert_eq!(strip_markup(text), expected, "{text:?}");
    }
}

#[test]
fn addresses_go_and_punctuation_stays() {
    assert_eq!(strip_urls("see https://a.b/c?d=e, or (www.x.org)."), "see , or ().");
    assert_eq!(strip_urls("awww.cute"), "awww.cute");
    assert_eq!(strip_urls("ftp://x"), "");
}

#[test]
fn filters_give_their_reason() {
    let english = "The old sailor walked slowly along the harbour and watched the ships come in from the sea.";
    let german = "Der alte Seemann ging langsam am Hafen entlang und sah den Schiffen zu, die vom Meer kamen.";
    let mut cleaner = cleaner(Rules {
        min_chars: 5,
        max_chars: Some(120),
        languages: vec![whatlang::Lang::Eng],
        dedupe: true,
        ..Rules::default()
    });
    assert_eq!(cleaner.clean(" \n\u{1}"), Err(Reason::Empty));
    assert_eq!(cleaner.clean("\u{e9}\u{e9}\u{e9}\u{e9}"), Err(Reason::TooShort));
    assert_eq!(cleaner.clean(&"a".repeat(121)), Err(Reason::TooLong));
    assert_eq!(cleaner.clean(german), Err(Reason::Language));
    assert_eq!(cleaner.clean(english).unwrap(), english);
    assert_eq!(cleaner.clean(english), Err(Reason::Duplicate));
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
