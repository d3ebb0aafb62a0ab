//! Tests the report: every document and byte is accounted for.

use serde_json::{Value, json};

use super::across::{report, row, texts};
use crate::corpus_clean::CORPUS_CLEAN;
use crate::tests::StepLab;

fn sum(report: &Value, field: &str) -> u64 {
    report["dropped"].as_array().unwrap().iter().map(|row| row[field].as_u64().unwrap()).sum()
}

#[test]
fn the_report_accounts_for_every_document_and_byte() {
    let lab = StepLab::new();
    let mut all = texts(200);
    all.extend(all[..7].to_vec());
    all.extend(all[20..29].iter().map(|text| format!("Oh. {text}")).collect::<Vec<_>>());
    all.extend((0..12).map(|n| format!("# # {n} seventeen elephants wandered towards mountains # #")));
    all.extend((0..6).map(|n| format!("the and {n} purchase immediately ").repeat(30)));
    all.push("  \n ".to_owned());
    let with = json!({
        "documents": lab.documents(&all),
        "rules": ["gopher", "gopher_repetition"],
        "thresholds": {"min_words": 8, "max_duplicate_lines": 1, "max_duplicate_paragraphs": 1},
        "near_duplicates": 0.8,
        "contamination_words": 13,
        "pii": ["email"],
    });
    let outputs = lab.run(&CORPUS_CLEAN, &with).unwrap();
    let report = report(&lab, &outputs);
    assert_eq!(report["schema"], 1);
    let documents = |name: &str| report["documents"][name].as_u64().unwrap();
    assert_eq!(documents("in"), all.len() as u64);
    assert_eq!(documents("in"), documents("train") + documents("validation") + sum(&report, "documents"));
    let bytes = |name: &str| report["bytes"][name].as_u64().unwrap();
    assert_eq!(bytes("in"), all.iter().map(|text| text.len() as u64).sum::<u64>());
    assert_eq!(bytes("normalised"), bytes("train") + bytes("validation") + sum(&report, "bytes"));
    for (reason, expected) in
        [("empty", 1), ("duplicate", 7), ("near_duplicate", 9), ("max_hashes_per_word", 12), ("max_top_2_gram", 6)]
    {
        assert_eq!(row(&report, reason)["documents"], expected, "{reason}: {report:#}");
        assert_eq!(outputs.values["dropped"][reason], expected, "{reason}");
    }
    let rule = row(&report, "min_words");
    assert_eq!(rule["rule"], json!({"measures": "words", "bound": "at least", "threshold": 8.0}));
    let samples = row(&report, "max_hashes_per_word")["samples"].as_array().unwrap();
    assert_eq!(samples.len(), 5);
    assert!(samples.iter().all(|sample| sample["value"].as_f64().unwrap() > 0.1), "{samples:?}");
    // The same documents in another order give the same samples of what was dropped on its own.
    let mut reversed = all.clone();
    reversed.reverse();
    let mut with = with;
    with["documents"] = json!(lab.documents(&reversed));
    let again = lab.run(&CORPUS_CLEAN, &with).unwrap();
    let again = super::across::report(&lab, &again);
    let shown = |report: &Value| {
        let samples = row(report, "max_hashes_per_word")["samples"].as_array().unwrap().clone();
        samples.into_iter().map(|sample| sample["text"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(shown(&report), shown(&again));
}

#[test]
fn unknown_and_impossible_rules_are_refused_before_the_run() {
    let lab = StepLab::new();
    for (change, message) in [
        (json!({"thresholds": {"min_word": 3}}), "`thresholds` has no `min_word`"),
        (json!({"thresholds": {"min_words": -3}}), "threshold `min_words` is -3"),
        (json!({"rules": ["gofer"]}), "unknown variant `gofer`"),
        (json!({"pii": ["name"]}), "unknown variant `name`"),
        (json!({"near_duplicates": 0.2}), "`near_duplicates` is 0.2"),
        (json!({"near_duplicates": 1.2}), "`near_duplicates` is 1.2"),
        (json!({"contamination_words": 2}), "`contamination_words` is 2"),
        (json!({"evaluation": [lab.documents(&["x"])]}), "`contamination_words` is not"),
        (json!({"documents": []}), "`documents` is an empty list"),
        (json!({"samples": 1000}), "`samples` is 1000"),
    ] {
        let mut with = json!({"documents": lab.documents(&["x"])});
        with.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let failure = crate::StepHandler::check(&CORPUS_CLEAN, &with).unwrap_err();
        assert!(failure.message.contains(message), "{failure}");
    }
}

#[test]
fn a_corpus_that_the_rules_drop_names_the_rule() {
    let lab = StepLab::new();
    let with = json!({"documents": lab.documents(&["a few words"]), "rules": ["gopher"]});
    let failure = lab.run(&CORPUS_CLEAN, &with).unwrap_err();
    assert!(failure.message.contains("all 1 documents were dropped: 1 min words"), "{failure}");
    assert!(failure.hint.unwrap().contains("`min_words`"));
}
