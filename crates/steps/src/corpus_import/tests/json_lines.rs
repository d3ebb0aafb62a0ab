//! Tests odd JSON lines: fields that are not read do not matter.

use serde_json::json;

use super::{failure_in, noted, texts_in, texts_of, write};
use crate::tests::StepLab;

#[test]
fn fields_that_are_not_read_do_not_matter() {
    let deep = format!("{{\"meta\": {}{}, \"text\": \"fine\"}}", "[".repeat(200_000), "]".repeat(200_000));
    let objects = format!("{{\"meta\": {}1{}, \"text\": \"fine\"}}", "{\"a\":".repeat(5000), "}".repeat(5000));
    for line in [
        r#"{"author": "half \ud83d", "text": "fine"}"#,
        r#"{"\udc00": 1, "text": "fine"}"#,
        r#"{"score": 1e999, "n": -123456789012345678901234567890.5E-12, "text": "fine"}"#,
        r#"{"text": "wrong", "text": "fine"}"#,
        r#"{"t\u0065xt": "fine"}"#,
        &deep,
        &objects,
    ] {
        assert_eq!(texts_in("a.jsonl", line.as_bytes(), &json!({})), ["fine"], "{:.60}", line);
    }
}

#[test]
fn half_a_surrogate_pair_is_read_as_a_replacement_character_and_counted() {
    let (lab, dir) = (StepLab::new(), tempfile::tempdir().unwrap());
    let lines = [
        r#"{"text": "cut \ud83d and on"}"#,
        r#"{"text": "a pair \ud83d\ude00 is \n\"fine\""}"#,
        r#"{"text": "\ude00\ud83d"}"#,
        r#"{"text": "\ud83d\ud83d\ude00"}"#,
    ];
    let path = write(dir.path(), "a.jsonl", lines.join("\n").as_bytes());
    let (outputs, notes) = noted(&lab, &json!({"source": path}));
    assert_eq!(
        texts_of(&lab, &outputs),
        ["cut \u{FFFD} and on", "a pair \u{1F600} is \n\"fine\"", "\u{FFFD}\u{FFFD}", "\u{FFFD}\u{1F600}"]
    );
    assert_eq!(outputs.values["lone_surrogates"], 3);
    assert!(notes[0].contains("a.jsonl:0; document a.jsonl:2; document a.jsonl:3"), "{notes:?}");
}

#[test]
fn the_text_field_may_lie_in_objects() {
    for (path, line) in [
        ("doc.body", r#"{"doc": {"body": "fine"}}"#),
        ("a.b.c", r#"{"a": {"b": {"c": "fine"}}}"#),
        ("a.b.c", r#"{"a": {"b.c": "fine"}}"#),
        ("a.b.c", r#"{"a": {"b": {"c": "no"}}, "a.b": {"c": "no"}, "a.b.c": "fine"}"#),
        ("doc.body", r#"{"doc.body": "fine", "doc": {"body": "no"}}"#),
        ("", r#"{"": "fine"}"#),
    ] {
        assert_eq!(texts_in("a.jsonl", line.as_bytes(), &json!({"text_field": path})), ["fine"], "{line}");
    }
    for (line, message) in [
        (r#"{"doc": {"title": "x"}}"#, "FILE:1: no field `doc.body`; fields of `doc`: `title`"),
        (r#"{"id": 1}"#, "FILE:1: no field `doc.body`; fields here: `id`"),
        (r#"{"doc": ["x"]}"#, "FILE:1: field `doc` is a list, so there is no field `doc.body`"),
        (r#"{"doc": {"body": {"en": "x"}}}"#, "FILE:1: field `doc.body` is an object, not text"),
    ] {
        let failure = failure_in("a.jsonl", line.as_bytes(), &json!({"text_field": "doc.body"}));
        assert_eq!(failure.message, message);
    }
}

#[test]
fn null_texts_are_passed_over_and_counted() {
    let (lab, dir) = (StepLab::new(), tempfile::tempdir().unwrap());
    let lines = "{\"d\": {\"t\": \"one\"}}\n{\"d\": {\"t\": null}}\n{\"d\": null}\n{\"d\": {\"t\": \" \"}}\n";
    let path = write(dir.path(), "a.jsonl", lines.as_bytes());
    let (outputs, notes) = noted(&lab, &json!({"source": path, "text_field": "d.t"}));
    assert_eq!(texts_of(&lab, &outputs), ["one"]);
    assert_eq!((&outputs.values["null_texts"], &outputs.values["blank_texts"]), (&json!(2), &json!(1)));
    assert_eq!(notes, [format!("2 texts are null and make no document: {path}:2; {path}:3")]);
}

#[test]
fn bad_lines_fail_the_step_or_are_passed_over_and_named() {
    let (lab, dir) = (StepLab::new(), tempfile::tempdir().unwrap());
    let mut bytes = b"{\"text\": \"one\"}\n".to_vec();
    let bad: [(&[u8], &str); 9] = [
        (b"{\"text\": \"cut", "not valid JSON at column 14: it ends where the end of a string is expected"),
        (b"{\"text\": 7}", "field `text` is a number, not text"),
        (b"{\"text\": []}", "field `text` is a list, not text"),
        (b"{\"content\": \"x\"}", "no field `text`; fields here: `content`"),
        (b"[1]", "expected a JSON object, found a list"),
        (
            b"{\"text\": \"a\"} {\"text\": \"b\"}",
            "not valid JSON at column 15: `{` where the end of the line is expected",
        ),
        (b"{\"text\": \"caf\xE9\"}", "invalid UTF-8 at byte offset"),
        (b"{\"text\": \"a\0b\"}", "NUL byte at byte offset"),
        (b"{\"text\": tru}", "not valid JSON at column 13: `}` where `true` is expected"),
    ];
    for (line, message) in bad {
        let failure = failure_in("a.jsonl", line, &json!({}));
        assert!(failure.message.starts_with(&format!("FILE:1: {message}")), "{failure}");
        assert!(failure.hint.unwrap().contains("on_bad_line = \"skip\""));
        bytes.extend([line, b"\n"].concat());
    }
    for _ in 0..20 {
        bytes.extend(b"{}\n");
    }
    bytes.extend(b"{\"text\": \"two\"}\n");
    let path = write(dir.path(), "a.jsonl", &bytes);
    let (outputs, notes) = noted(&lab, &json!({"source": path, "on_bad_line": "skip"}));
    assert_eq!(texts_of(&lab, &outputs), ["one", "two"]);
    assert_eq!(outputs.values["bad_lines"], 29);
    assert!(notes[0].starts_with(&format!("29 bad lines were passed over: {path}:2: not valid JSON")), "{notes:?}");
    assert!(notes[0].ends_with("a.jsonl:11: no field `text`; fields here: none; and more"), "{notes:?}");
    assert_eq!(outputs.values["notes"], json!(notes));
}

#[test]
fn a_corpus_of_bad_lines_is_empty_and_says_so() {
    let failure = failure_in("a.jsonl", b"{\"a\": 1}\n{\"text\": null}\n", &json!({"on_bad_line": "skip"}));
    assert!(failure.message.starts_with("the corpus is empty"), "{failure}");
    assert!(
        failure.message.contains("1 bad line was passed over: ") && failure.message.contains("is null"),
        "{failure}"
    );
}

#[test]
fn invisible_characters_are_named() {
    for (line, message) in [
        ("\u{200B}{\"text\": \"a\"}", "column 1: U+200B (zero width space) where a value is expected"),
        ("{\"text\": \"a\",\u{A0}\"n\": 1}", "column 14: U+00A0 (no-break space) where a field name"),
        ("{\"\u{FEFF}text\": \"a\"}", "fields here: `<U+FEFF>text`"),
    ] {
        let failure = failure_in("a.jsonl", line.as_bytes(), &json!({}));
        assert!(failure.message.contains(message), "{failure}");
    }
    let failure = failure_in("a.jsonl", "{\"text\": \"\u{A0}\u{3000}\"}".as_bytes(), &json!({}));
    assert!(
        failure.message.ends_with("texts of U+00A0 (no-break space), U+3000 (ideographic space) only"),
        "{failure}"
    );
}

#[test]
fn all_line_ends_count() {
    let lf = "{\"text\": \"one\"}\n\n{\"text\": \"two\"}\n{\"text\"\n";
    for ends in ["\n", "\r\n", "\r", "\r\r\n"] {
        let bytes = lf.replace('\n', ends);
        let failure = failure_in("a.jsonl", bytes.as_bytes(), &json!({}));
        assert!(failure.message.starts_with("FILE:4: not valid JSON"), "{ends:?}: {failure}");
        assert_eq!(texts_in("a.jsonl", bytes.as_bytes(), &json!({"on_bad_line": "skip"})), ["one", "two"], "{ends:?}");
        let text = "one\nmore\n\n \ntwo\n".replace('\n', ends);
        assert_eq!(
            texts_in("a.txt", text.as_bytes(), &json!({"split": "paragraph"})),
            ["one\nmore", "two"],
            "{ends:?}"
        );
        // A file that is one document keeps its line ends; cleaning converts them to line feeds.
        assert_eq!(texts_in("a.txt", text.as_bytes(), &json!({})), [text]);
    }
}
