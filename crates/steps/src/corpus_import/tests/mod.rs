//! Tests the whole step on files of every kind.

mod basics;
mod changed;
mod columns;
mod compression;
mod encodings;
mod json_files;
mod json_lines;
mod links;
mod places;
mod resume;

use std::fs;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::CORPUS_IMPORT;
use crate::tests::{Recorder, StepLab};
use stepwell_base::artifact::Outputs;
use stepwell_base::failure::Failure;

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zst(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

fn texts(lab: &StepLab, with: &Value) -> Vec<String> {
    let outputs = lab.run(&CORPUS_IMPORT, with).unwrap();
    texts_of(lab, &outputs)
}

fn texts_of(lab: &StepLab, outputs: &Outputs) -> Vec<String> {
    lab.documents_of(&outputs.artifacts["documents"]).into_iter().map(|document| document.text).collect()
}

fn noted(lab: &StepLab, with: &Value) -> (Outputs, Vec<String>) {
    let mut recorder = Recorder::default();
    let outputs = lab.run_recorded(&CORPUS_IMPORT, with, &mut recorder).unwrap();
    (outputs, recorder.notes)
}

/// Imports one file with this name and content, and returns its texts.
fn texts_in(name: &str, bytes: &[u8], more: &Value) -> Vec<String> {
    let (lab, dir) = (StepLab::new(), tempfile::tempdir().unwrap());
    let mut with = more.clone();
    with["source"] = json!(write(dir.path(), name, bytes));
    texts(&lab, &with)
}

/// Imports one file with this name and content, and returns the failure without the path in its message.
fn failure_in(name: &str, bytes: &[u8], more: &Value) -> Failure {
    let (lab, dir) = (StepLab::new(), tempfile::tempdir().unwrap());
    let mut with = more.clone();
    let path = write(dir.path(), name, bytes);
    with["source"] = json!(path);
    let mut failure = failure(&lab, &with);
    failure.message = failure.message.replace(&path, "FILE");
    failure
}

/// Returns the failure, and checks that nothing was published.
fn failure(lab: &StepLab, with: &Value) -> Failure {
    let failure = lab.run(&CORPUS_IMPORT, with).unwrap_err();
    assert!(failure.hint.is_some(), "no hint: {failure}");
    assert_eq!(lab.published_files(), 0, "something half-written was left");
    failure
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> String {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}
