//! Reads corpus files with the real step.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::probe::{head_and_body, is_readable};
use super::step::Step;
use stepwell_base::failure::Failure;
use stepwell_steps::CORPUS_IMPORT;

/// Takes the file's extension and arguments of `corpus.import` from the first line, such as `jsonl encoding=utf-8`,
/// and the file from the rest. A compressed file must give the same documents as the plain one.
pub(super) fn import(data: &[u8]) {
    let (head, content) = head_and_body(data);
    let mut words = head.split(' ');
    let extension = words.next().filter(|word| EXTENSIONS.contains(word)).unwrap_or("txt");
    let arguments = words.filter_map(|word| word.split_once('=')).filter(|(name, _)| ARGUMENTS.contains(name));
    let mut with = json!({});
    for (name, value) in arguments {
        with[name] = json!(value);
    }
    let plain = texts(&format!("a.{extension}"), content, &with);
    let packed = texts(&format!("a.{extension}.gz"), &gzip(content), &with);
    match (plain, packed) {
        (Ok(plain), Ok(packed)) => assert_eq!(plain, packed, "a compressed file is read as something else"),
        (Err(plain), Err(_)) => is_readable(&plain, 0),
        (Ok(_), Err(refusal)) | (Err(refusal), Ok(_)) => panic!("refused only plain, or only compressed: {refusal}"),
    }
}

const EXTENSIONS: &[&str] = &["txt", "md", "jsonl", "ndjson", "json"];
const ARGUMENTS: &[&str] = &["split", "text_field", "encoding", "on_bad_line"];

/// Takes `parquet` or `arrow` from the first line and the file from the rest.
pub(super) fn columns(data: &[u8]) {
    let (head, content) = head_and_body(data);
    let name = if head == "arrow" { "a.arrow" } else { "a.parquet" };
    if let Err(refusal) = texts(name, content, &json!({"on_bad_line": "skip"})) {
        is_readable(&refusal, 0);
    }
}

/// Takes `gz` or `zst` from the first line and the file from the rest.
pub(super) fn decompress(data: &[u8]) {
    let (head, content) = head_and_body(data);
    let name = if head == "zst" { "a.txt.zst" } else { "a.txt.gz" };
    if let Err(refusal) = texts(name, content, &json!({})) {
        is_readable(&refusal, 0);
    }
}

fn texts(name: &str, content: &[u8], with: &Value) -> Result<Vec<String>, Failure> {
    let step = Step::new();
    let path = step.write(name, content);
    let mut with = with.clone();
    with["source"] = json!(path);
    let outputs = step.run(&CORPUS_IMPORT, &with)?;
    let texts = step.texts(&outputs.artifacts["documents"]);
    assert!(texts.iter().all(|text| !text.trim().is_empty()), "a blank document");
    assert_eq!(outputs.values["documents"], json!(texts.len()));
    assert_eq!(outputs.values["bytes"], json!(texts.iter().map(String::len).sum::<usize>()));
    assert!(Path::new(&path).exists(), "a source is only read");
    Ok(texts)
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).and_then(|()| encoder.finish()).expect("memory takes everything")
}
