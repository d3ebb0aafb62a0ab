//! Tests that an attempt resumes inside a file, wherever the one before stopped.

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::{gz, write};
use crate::corpus_import::CORPUS_IMPORT;
use crate::corpus_import::handler::run_with;
use crate::corpus_import::import::Pace;
use crate::tests::{Recorder, StepLab};
use crate::{StepError, StepHandler, Surroundings};
use stepwell_base::artifact::Outputs;

const SMALL: Pace = Pace { batch_bytes: 300, save_time: Duration::ZERO };

/// Files of every layout, with rows that make no document.
fn files(folder: &Path) {
    let mut lines = String::new();
    for n in 0..60 {
        lines.push_str(&format!("{{\"text\": \"document {n} of some length\"}}\n"));
        if n % 7 == 0 {
            lines.push_str("{\"text\": null}\n{\"other\": 1}\n{\"text\": \"  \"}\n");
        }
    }
    write(folder, "a.jsonl", lines.as_bytes());
    write(folder, "b.txt.gz", &gz("one\n\ntwo\n\nthree\n".repeat(40).as_bytes()));
    write(folder, "c.json", b"[{\"text\": \"x\"}, {\"text\": \"y\"}]");
    for name in ["snappy.parquet", "stream_lz4.arrow"] {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/golden/columns");
        std::fs::copy(golden.join(name), folder.join(name)).unwrap();
    }
}

fn attempt(lab: &StepLab, with: &Value, recorder: &mut Recorder) -> Result<Outputs, StepError> {
    let surroundings = Surroundings { project: &lab.project, file: None, earlier: None };
    let fingerprint = CORPUS_IMPORT.fingerprint_in(with, &surroundings).unwrap();
    lab.attempt_with(with, fingerprint, recorder, |context| run_with(context, SMALL))
}

/// Number of documents after which the last attempt resumed.
fn resumed_after(recorder: &Recorder) -> Option<u64> {
    recorder.notes.iter().rev().find_map(|note| note.strip_prefix("resumes after ")?.split(' ').next()?.parse().ok())
}

#[test]
fn an_import_resumes_wherever_it_stopped_and_gives_the_same_documents() {
    let dir = tempfile::tempdir().unwrap();
    files(dir.path());
    let with =
        json!({"source": [dir.path(), "builtin:grammar"], "documents": 5, "split": "paragraph", "on_bad_line": "skip"});
    let whole = attempt(&StepLab::new(), &with, &mut Recorder::default()).unwrap();
    for looks in [2, 6, 13] {
        let lab = StepLab::new();
        let mut recorder = Recorder::default();
        let mut places = Vec::new();
        let outputs = loop {
            recorder.looks_left = Cell::new(Some(looks + places.len() as u32 % 3));
            match attempt(&lab, &with, &mut recorder) {
                Ok(outputs) => break outputs,
                Err(StepError::Interrupted) => {}
                Err(StepError::Failed(failure)) => panic!("{failure}"),
            }
            assert_eq!(lab.published_files(), 0);
            // Bytes that a killed attempt wrote after its last record.
            use std::io::Write;
            let partial = std::fs::OpenOptions::new().append(true).open(lab.scratch().join("documents.partial"));
            partial.unwrap().write_all(b"{\"id\": \"torn").unwrap();
            places.push(resumed_after(&recorder));
            assert!(places.len() < 500, "it makes no progress: {places:?}");
        };
        assert_eq!(outputs, whole);
        assert!(places.is_sorted() && places.len() > 1, "{places:?}");
    }
}

/// Input that changed, or a damaged partial file, must never be continued.
#[test]
fn an_import_starts_over_when_what_it_left_does_not_fit() {
    for damage in ["file", "source"] {
        let (lab, dir) = (StepLab::new(), tempfile::tempdir().unwrap());
        files(dir.path());
        let with = json!({"source": dir.path(), "split": "paragraph", "on_bad_line": "skip"});
        let mut recorder = Recorder { looks_left: Cell::new(Some(9)), ..Recorder::default() };
        assert!(matches!(attempt(&lab, &with, &mut recorder), Err(StepError::Interrupted)));
        if damage == "file" {
            let path = lab.scratch().join("documents.partial");
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[40] ^= 1;
            std::fs::write(&path, bytes).unwrap();
        } else {
            write(dir.path(), "a.jsonl", b"{\"text\": \"other text\"}\n");
        }
        let whole = attempt(&StepLab::new(), &with, &mut Recorder::default()).unwrap();
        let mut recorder = Recorder::default();
        assert_eq!(attempt(&lab, &with, &mut recorder).unwrap(), whole, "{damage}");
        assert_eq!(resumed_after(&recorder), None);
    }
}
