//! Tests Parquet and Arrow files, which pyarrow wrote (`scripts/golden/make_columns.py`).

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{failure, failure_in, texts, texts_of};
use crate::corpus_import::CORPUS_IMPORT;
use crate::tests::StepLab;
use crate::{TOKENIZE, TOKENIZER_TRAIN};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/golden/columns").join(name)
}

#[test]
fn the_same_documents_give_the_same_tokens_from_every_format() {
    let lab = StepLab::new();
    let lines = lab.run(&CORPUS_IMPORT, &json!({"source": golden("documents.jsonl")})).unwrap();
    let train = json!({"documents": lines.artifacts["documents"], "vocab_size": 280});
    let tokenizer = &lab.run(&TOKENIZER_TRAIN, &train).unwrap().artifacts["tokenizer"];
    let tokens = |documents: &stepwell_base::artifact::Outputs| {
        let with = json!({"documents": documents.artifacts["documents"], "tokenizer": tokenizer});
        lab.run(&TOKENIZE, &with).unwrap().artifacts["tokens"].clone()
    };
    for (name, column) in [
        ("zstd_two.parquet", "text"),
        ("nested.parquet", "doc.body"),
        ("file.arrow", "text"),
        ("stream_lz4.arrow", "text"),
    ] {
        let outputs = lab.run(&CORPUS_IMPORT, &json!({"source": golden(name), "column": column})).unwrap();
        assert_eq!(texts_of(&lab, &outputs), texts_of(&lab, &lines), "{name}");
        assert_eq!(tokens(&outputs), tokens(&lines), "{name}");
        for value in ["documents", "bytes", "null_texts", "blank_texts"] {
            assert_eq!(outputs.values[value], lines.values[value], "{name}: {value}");
        }
        assert!(outputs.values["null_texts"].as_u64().unwrap() > 2);
        assert!(
            outputs.values["notes"][0].as_str().unwrap().contains(&format!("{name}, row ")),
            "{:?}",
            outputs.values
        );
    }
}

#[test]
fn a_folder_takes_them_and_text_field_names_the_column_too() {
    let (lab, dir) = (StepLab::new(), tempfile::tempdir().unwrap());
    for name in ["required.parquet", "feather.feather"] {
        std::fs::copy(golden(name), dir.path().join(name)).unwrap();
    }
    std::fs::write(dir.path().join("b.jsonl"), "{\"text\": \"one\"}\n").unwrap();
    let all = texts(&lab, &json!({"source": dir.path(), "text_field": "text"}));
    assert_eq!(all[0], "one");
    assert!(all.len() > 80, "{}", all.len());
}

#[test]
fn a_wrong_column_is_refused_with_those_that_there_are() {
    let lab = StepLab::new();
    for (name, column) in [("snappy.parquet", "content"), ("file.arrow", "id")] {
        let failure = failure(&lab, &json!({"source": golden(name), "column": column}));
        assert!(failure.message.contains(&format!("{name} cannot be read as ")), "{failure}");
        assert!(failure.message.contains("columns: id (int"), "{failure}");
        assert!(failure.message.contains("text (string)"), "{failure}");
        assert!(failure.hint.unwrap().contains("`column`"));
    }
}

/// Nothing of a damaged file is kept, and the message has the place.
#[test]
fn a_truncated_or_damaged_file_is_refused_with_the_place() {
    for name in ["plain.parquet", "file_zstd.arrow", "stream.arrow"] {
        let bytes = std::fs::read(golden(name)).unwrap();
        let failure = failure_in(name, &bytes[..bytes.len() * 2 / 3], &json!({}));
        assert!(
            failure.message.starts_with("FILE cannot be read as ") && failure.message.contains("byte"),
            "{failure}"
        );
        assert!(failure.hint.unwrap().contains("python -c"));
    }
    let mut bytes = std::fs::read(golden("plain.parquet")).unwrap();
    let at = bytes.windows(6).position(|window| window == b" smile").unwrap();
    bytes[at] = b'X';
    let failure = failure_in("plain.parquet", &bytes, &json!({}));
    assert!(failure.message.contains("bad page: its checksum differs"), "{failure}");
    let failure = failure_in("text.parquet", b"{\"text\": \"not what its name says\"}", &json!({}));
    assert!(failure.message.contains("does not start with `PAR1` at byte 0"), "{failure}");
}

#[test]
fn text_that_is_not_utf8_is_one_bad_row() {
    let mut bytes = std::fs::read(golden("file.arrow")).unwrap();
    let at = bytes.windows(6).position(|window| window == b" smile").unwrap();
    bytes[at] = 0xFF;
    let failure = failure_in("a.arrow", &bytes, &json!({}));
    assert!(
        failure.message.starts_with("FILE, row ") && failure.message.contains("invalid UTF-8 at byte "),
        "{failure}"
    );
    let texts = super::texts_in("a.arrow", &bytes, &json!({"on_bad_line": "skip"}));
    assert!(texts.len() > 30);
}
