//! Tests that an attempt continues the first pass, wherever the one before stopped.

use std::cell::Cell;
use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::across::texts;
use crate::StepError;
use crate::corpus_clean::first_pass::Pace;
use crate::corpus_clean::handler::run_with;
use crate::tests::{Recorder, StepLab};
use stepwell_base::artifact::Outputs;

const SMALL: Pace = Pace { batch_bytes: 9000, save_time: Duration::ZERO };

/// Documents of which every filter drops some.
fn documents() -> Vec<String> {
    let mut all = texts(60);
    all.extend(all[..9].to_vec());
    all.extend(all[20..31].iter().map(|text| format!("Oh. {text}")).collect::<Vec<_>>());
    all.extend((0..5).map(|n| format!("short {n}")));
    all.push("caf\u{e9} x\u{b2} jane@example.org ".repeat(9));
    all.extend(texts(80)[50..].to_vec());
    all
}

fn with(lab: &StepLab, texts: &[String]) -> Value {
    json!({
        "documents": lab.documents(texts),
        "min_chars": 40,
        "pii": ["email"],
        "near_duplicates": 0.7,
        "contamination_words": 13,
        "shard_bytes": 20_000,
    })
}

fn attempt(lab: &StepLab, with: &Value, recorder: &mut Recorder) -> Result<Outputs, StepError> {
    lab.attempt(with, recorder, |context| run_with(context, SMALL))
}

/// Appends bytes as a killed attempt leaves them after its last record.
fn tear(lab: &StepLab, name: &str) {
    let file = std::fs::OpenOptions::new().append(true).open(lab.scratch().join(name));
    file.unwrap().write_all(b"torn").unwrap();
}

#[test]
fn a_cleaning_resumes_wherever_it_stopped_and_gives_the_same() {
    let all = documents();
    let lab = StepLab::new();
    let whole = attempt(&lab, &with(&lab, &all), &mut Recorder::default()).unwrap();
    let dropped = whole.values["dropped"].as_object().unwrap().clone();
    for reason in ["too_short", "duplicate", "near_duplicate"] {
        assert!(dropped[reason].as_u64().unwrap() >= 4, "{dropped:?}");
    }
    for looks in [3, 5, 9, 14] {
        let lab = StepLab::new();
        let with = with(&lab, &all);
        let mut recorder = Recorder::default();
        let mut attempts = 0;
        let outputs = loop {
            recorder.looks_left = Cell::new(Some(looks + attempts * 2));
            match attempt(&lab, &with, &mut recorder) {
                Ok(outputs) => break outputs,
                Err(StepError::Interrupted) => attempts += 1,
                Err(StepError::Failed(failure)) => panic!("{failure}"),
            }
            for name in ["cleaned", "band-03", "signatures"] {
                tear(&lab, name);
            }
            assert!(attempts < 100, "it makes no progress");
        };
        assert_eq!(outputs, whole, "{looks}");
        let resumed = recorder.notes.iter().filter(|note| note.starts_with("resumes after ")).count();
        assert!(attempts > 0 && resumed > 0, "{looks}: {attempts} {:?}", recorder.notes);
        let left = std::fs::read_dir(lab.scratch()).unwrap().count();
        assert_eq!(left, 0, "files are left in the scratch directory");
    }
}

#[test]
fn a_cleaning_starts_over_when_what_it_left_does_not_fit() {
    let all = documents();
    let lab = StepLab::new();
    let whole = attempt(&lab, &with(&lab, &all), &mut Recorder::default()).unwrap();
    for damaged in ["cleaned", "band-13", "signatures", "clean.json"] {
        let lab = StepLab::new();
        let with = with(&lab, &all);
        let mut recorder = Recorder { looks_left: Cell::new(Some(6)), ..Recorder::default() };
        assert!(matches!(attempt(&lab, &with, &mut recorder), Err(StepError::Interrupted)));
        let path = lab.scratch().join(damaged);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[20] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let mut recorder = Recorder::default();
        assert_eq!(attempt(&lab, &with, &mut recorder).unwrap(), whole, "{damaged}");
        assert!(!recorder.notes.iter().any(|note| note.starts_with("resumes after ")), "{:?}", recorder.notes);
    }
    // Other arguments are another cleaning.
    let lab = StepLab::new();
    let mut with = with(&lab, &all);
    let mut recorder = Recorder { looks_left: Cell::new(Some(6)), ..Recorder::default() };
    assert!(matches!(attempt(&lab, &with, &mut recorder), Err(StepError::Interrupted)));
    with["min_chars"] = json!(1);
    let outputs = attempt(&lab, &with, &mut Recorder::default()).unwrap();
    assert_eq!(outputs.values["dropped"]["too_short"], 0);
}
