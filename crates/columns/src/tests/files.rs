//! Every encoding, compression and layout gives the same rows.

use super::{folder, read};
use crate::{Cell, ColumnError};

/// Rows of `documents.jsonl`, whose lines are `{"text": "..."}` or `{"text": null}` without escapes.
fn expected() -> Vec<Cell> {
    let lines = std::fs::read_to_string(folder().join("documents.jsonl")).unwrap();
    let cell = |line: &str| match line.strip_prefix("{\"text\": ").unwrap().strip_suffix('}').unwrap() {
        "null" => Cell::Null,
        text => Cell::Text(text.trim_matches('"').to_owned()),
    };
    lines.lines().map(cell).collect()
}

#[test]
fn every_file_gives_the_same_rows() {
    let expected = expected();
    assert!(expected.contains(&Cell::Null) && expected.contains(&Cell::Text(String::new())));
    for name in [
        "snappy.parquet",
        "plain.parquet",
        "gzip_dictionary.parquet",
        "zstd_two.parquet",
        "lz4.parquet",
        "delta.parquet",
        "delta_length.parquet",
        "binary.parquet",
        "file.arrow",
        "stream.arrow",
        "file_zstd.arrow",
        "stream_lz4.arrow",
        "wide.arrow",
        "feather.feather",
    ] {
        assert_eq!(read(name, "text").unwrap(), expected, "{name}");
    }
    for name in ["nested.parquet", "nested.arrow"] {
        assert_eq!(read(name, "doc.body").unwrap(), expected, "{name}");
    }
    let present = expected.into_iter().map(|cell| if cell == Cell::Null { Cell::Text(String::new()) } else { cell });
    assert_eq!(read("required.parquet", "text").unwrap(), present.collect::<Vec<_>>());
}

#[test]
fn a_wrong_column_is_refused_with_those_that_there_are() {
    for (name, column, message) in [
        (
            "snappy.parquet",
            "content",
            "there is no column `content`; columns: id (int64), text (string), tags.list.element (list of string)",
        ),
        ("snappy.parquet", "id", "column id (int64) is not text; columns: id (int64), "),
        ("snappy.parquet", "tags.list.element", "column tags.list.element (list of string) is not text"),
        ("nested.parquet", "doc", "there is no column `doc`; columns: id (int64), doc.body (string), doc.n (int64)"),
        ("file.arrow", "content", "there is no column `content`; columns: id (integer), text (string), tags."),
        ("file.arrow", "id", "column id (integer) is not text"),
        ("file.arrow", "tags", "column tags (list) is not text"),
        (
            "nested.arrow",
            "doc",
            "column doc (struct) is not text; columns: id (integer), doc.body (string), doc.n (integer)",
        ),
        ("dictionary.arrow", "text", "column text (dictionary of string) is not text"),
    ] {
        let error = read(name, column).unwrap_err();
        assert!(error.to_string().starts_with(message), "{name}: {error}");
    }
}

#[test]
fn an_unknown_compression_is_named() {
    let error = read("brotli.parquet", "text").unwrap_err();
    assert!(matches!(error, ColumnError::Unsupported { .. }), "{error}");
    assert!(error.to_string().ends_with("the column is compressed with Brotli"), "{error}");
}
