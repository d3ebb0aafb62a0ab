//! Tests JSON other than lines: arrays, objects over several lines, and JSON in text files.

use std::path::Path;

use serde_json::json;

use super::{failure_in, gz, noted, texts_in, texts_of, write, zst};
use crate::command::Project;
use crate::tests::StepLab;

#[test]
fn json_is_read_under_each_of_its_names() {
    let lines = b"{\"text\": \"one\"}\n{\"text\": \"two\"}\n";
    for name in ["a.jsonl", "a.ndjson", "a.jsonlines", "a.json", "A.JSON"] {
        assert_eq!(texts_in(name, lines, &json!({})), ["one", "two"], "{name}");
        assert_eq!(texts_in(&format!("{name}.gz"), &gz(lines), &json!({})), ["one", "two"], "{name}");
        assert_eq!(texts_in(&format!("{name}.zst"), &zst(lines), &json!({})), ["one", "two"], "{name}");
    }
    let (lab, dir) = (StepLab::new(), tempfile::tempdir().unwrap());
    for (index, name) in ["a.jsonl", "b.ndjson", "c.jsonlines", "d.json"].iter().enumerate() {
        write(dir.path(), name, format!("{{\"text\": \"{index}\"}}").as_bytes());
    }
    let (outputs, _) = noted(&lab, &json!({"source": dir.path()}));
    assert_eq!(texts_of(&lab, &outputs), ["0", "1", "2", "3"]);
}

#[test]
fn arrays_and_objects_over_several_lines_are_read_value_by_value() {
    for (name, text) in [
        ("a.json", "[{\"text\": \"one\"}, {\"text\": \"two\"}]"),
        ("a.json", "\u{FEFF} [\n  {\n    \"text\": \"one\"\n  },\n  {\n    \"text\": \"two\"\n  }\n]\n"),
        ("a.json", "{\n  \"text\": \"one\"\n}\n{\n  \"text\": \"two\"\n}\n"),
        ("a.json", "{\"text\": \"one\", \"b\": \"]}\\\"[{\"}\r{\"text\": \"two\"}\r"),
        ("a.jsonl", "[\n{\"text\": \"one\"},\n{\"text\": \"two\"}\n]"),
        ("a.jsonl", "[ {\"text\": \"one\", \"b\": [[{}], \"]\"]} , {\"text\": \"two\"} ] "),
    ] {
        assert_eq!(texts_in(name, text.as_bytes(), &json!({})), ["one", "two"], "{text}");
    }
    assert_eq!(texts_in("a.json", b"{\n\"text\": \"one\"\n}", &json!({})), ["one"]);
    assert!(failure_in("a.json", b"[]", &json!({})).message.starts_with("the corpus is empty"));
}

/// The file is larger than every buffer, and an element crosses their borders.
#[test]
fn a_long_array_is_read_in_pieces() {
    let element = format!("{{\"text\": \"{}\"}}", "word ".repeat(30_000));
    let array = format!("[{}]", vec![element; 10].join(","));
    assert_eq!(texts_in("a.json", array.as_bytes(), &json!({})).len(), 10);
}

#[test]
fn a_bad_element_is_named_and_passed_over() {
    let text =
        b"[\n{\"text\": \"one\"},\n{\"content\": \"x\"}, 7, \"text\", null, [], {\"text\" 1},\n{\"text\": \"two\"}]";
    let failure = failure_in("a.json", text, &json!({}));
    assert_eq!(failure.message, "FILE:3, element 2: no field `text`; fields here: `content`");
    assert_eq!(texts_in("a.json", text, &json!({"on_bad_line": "skip"})), ["one", "two"]);
}

#[test]
fn an_array_that_cannot_be_followed_is_refused_with_its_place() {
    for (text, message) in [
        ("[{\"text\": \"one\"}", "FILE:1, element 1: not valid JSON: the file ends in the middle of the array"),
        ("[{\"text\": \"one\"},\n]", "FILE:2, element 1: not valid JSON: an element is missing behind a `,`"),
        ("[{\"text\": \"one\"}\n{\"text\": \"two\"}]", "FILE:2, element 1: not valid JSON: `,` or `]` is missing"),
        ("[{\"text\": \"one\"}]\nmore", "FILE:2, element 1: not valid JSON: there is more behind the end"),
        ("[{\"text\": \"one\"},\n{\"text\": \"two", "FILE:2, element 2: not valid JSON at column 14"),
        ("[\n{\"text\": \"one},\n{\"text\": \"two\"}]", "FILE:2, element 1: not valid JSON at column 16"),
    ] {
        let failure = failure_in("a.json", text.as_bytes(), &json!({}));
        assert!(failure.message.starts_with(message), "{failure}");
    }
}

#[test]
fn text_that_looks_like_json_is_read_with_a_word_about_it() {
    for (text, is_json) in [
        ("{\"text\": \"one\"}\n", true),
        ("\n [ {\"text\": \"one\"} ]", true),
        ("{\n  \"text\": \"one\"}", true),
        ("{ not json }", false),
        ("[link] and {\"quoted\"} words", false),
        ("plain", false),
    ] {
        let (lab, dir) = (StepLab::new(), tempfile::tempdir().unwrap());
        let path = write(dir.path(), "a.txt", text.as_bytes());
        let (outputs, notes) = noted(&lab, &json!({"source": path}));
        assert_eq!(texts_of(&lab, &outputs), [text]);
        let said = notes.iter().any(|note| note.starts_with(&format!("1 text file looks like JSON: {path}")));
        assert_eq!(said, is_json, "{text}: {notes:?}");
    }
}

#[test]
fn a_document_is_bounded() {
    use super::super::read::{Options, Split, Texts, named};
    use super::super::source::{SourceFiles, resolve};
    let dir = tempfile::tempdir().unwrap();
    let long = "x".repeat(500);
    for (name, text, split) in [
        ("a.txt", format!("{long}\n{long}\n"), Split::File),
        ("b.txt", format!("{long}\n{long}\n"), Split::Paragraph),
        ("c.txt", long.repeat(3), Split::Paragraph),
        ("d.jsonl", format!("{{\"text\": \"{}\"}}", long.repeat(3)), Split::File),
        ("e.json", format!("[{{\"text\": \"{}\"}}]", long.repeat(3)), Split::File),
    ] {
        let mut found = SourceFiles::default();
        resolve(&write(dir.path(), name, text.as_bytes()), Project(Path::new("")), &mut found).unwrap();
        let read = |max_document_bytes| {
            let encoding = named("utf-8").unwrap();
            let options = Options { split, text_field: "text", column: "text", encoding, max_document_bytes };
            Texts::open(&found.files[0], options).unwrap().next()
        };
        assert!(read(2000).unwrap().is_some(), "{name}");
        assert!(read(999).unwrap_err().message.contains("a document of more than"), "{name}");
    }
}
