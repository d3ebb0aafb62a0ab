//! Tests sources of every kind, and everything that can be wrong with them.

use std::fs;

use serde_json::json;

use super::super::CORPUS_IMPORT;
use super::{failure, gz, texts, write, zst};
use crate::tests::StepLab;
use crate::{CORPUS_CLEAN, StepHandler};

#[test]
fn a_folder_is_read_in_the_order_of_names_and_other_extensions_are_counted() {
    let (lab, dir) = (StepLab::new(), tempfile::tempdir().unwrap());
    write(dir.path(), "b.txt", b"bee");
    write(dir.path(), "a/z.md", b"zed");
    write(dir.path(), "a/y.txt.gz", &[gz(b"why "), gz(b"not")].concat());
    write(dir.path(), "c.jsonl.zst", &[zst(b"{\"text\":\"one\"}\n"), zst(b"\n{\"text\":\"two\",\"n\":1}\n")].concat());
    write(dir.path(), "d.png", b"\x89PNG\0");
    write(dir.path(), ".hidden.txt", b"no");
    let with = json!({"source": dir.path()});
    assert_eq!(texts(&lab, &with), ["why not", "zed", "bee", "one", "two"]);
    let outputs = lab.run(&CORPUS_IMPORT, &with).unwrap();
    assert_eq!(outputs.values["documents"], 5);
    assert_eq!(outputs.values["files"], 4);
    assert_eq!(outputs.values["skipped_files"], 1);
    assert_eq!(outputs.values["bytes"], 7 + 3 + 3 + 3 + 3);
    assert_eq!(outputs.artifacts["minimal_pairs"].size, 0);
    let ids: Vec<String> =
        lab.documents_of(&outputs.artifacts["documents"]).into_iter().map(|document| document.id).collect();
    assert_eq!(ids, ["a/y.txt.gz:0", "a/z.md:0", "b.txt:0", "c.jsonl.zst:0", "c.jsonl.zst:1"]);
}

/// The digests come from the build before other formats existed: plain corpora keep their documents, and so the keys of
/// all later steps.
#[test]
fn the_documents_of_plain_text_and_json_lines_stay_the_same_bytes() {
    let (lab, dir) = (StepLab::new(), tempfile::tempdir().unwrap());
    let text = "First line\r\nsecond caf\u{e9} \u{4e2d}\u{6587}\n\nThird paragraph, x\u{b2}.\n";
    let lines = concat!(
        r#"{"id": 1, "text": "one \"quoted\" \u00e9\ud83d\ude00\n and more"}"#,
        "\n\n",
        r#"{"text": "two", "meta": {"a": [1, 2.5, null]}}"#,
        "\n{\"text\": \" \"}\n",
        r#"{"text": "tab\there"}"#,
    );
    write(dir.path(), "a.txt", text.as_bytes());
    write(dir.path(), "b.jsonl", lines.as_bytes());
    write(dir.path(), "c.md", b"\xEF\xBB\xBF# Title\n\nwords *here*\n");
    for (split, documents, train, validation) in [
        ("file", "1653a98877f75d35", "66b8623dc8efe84f", "fbeba66e19a28430"),
        ("paragraph", "24dc1e99cd6bc218", "f17696ee9c3da1e8", "cc7b02727354f94a"),
    ] {
        let imported = lab.run(&CORPUS_IMPORT, &json!({"source": dir.path(), "split": split})).unwrap();
        let with =
            json!({"documents": imported.artifacts["documents"], "validation": "tail", "validation_fraction": 0.2});
        let cleaned = lab.run(&CORPUS_CLEAN, &with).unwrap();
        let digests = [&imported.artifacts["documents"], &cleaned.artifacts["train"], &cleaned.artifacts["validation"]]
            .map(|artifact| artifact.digest.as_str()[..16].to_owned());
        assert_eq!(digests, [documents, train, validation], "{split}");
    }
}

#[test]
fn lists_globs_and_unknown_extensions_given_directly() {
    let (lab, dir) = (StepLab::new(), tempfile::tempdir().unwrap());
    let log = write(dir.path(), "app.log", b"logged");
    write(dir.path(), "x/1.txt", b"one");
    write(dir.path(), "x/y/2.txt", b"two");
    let base = dir.path().to_str().unwrap();
    assert_eq!(texts(&lab, &json!({"source": [log, format!("{base}/x/*.txt")]})), ["logged", "one"]);
    assert_eq!(texts(&lab, &json!({"source": format!("{base}/**/*.txt")})), ["one", "two"]);
}

#[test]
fn paragraphs_are_separated_by_blank_lines() {
    let (lab, dir) = (StepLab::new(), tempfile::tempdir().unwrap());
    let path = write(dir.path(), "a.txt", b"\xEF\xBB\xBFone\r\nstill one\r\n\r\n  \ntwo\n\n\n");
    assert_eq!(texts(&lab, &json!({"source": path, "split": "paragraph"})), ["one\nstill one", "two"]);
}

#[test]
fn bad_sources_are_refused_by_name() {
    let (lab, dir) = (StepLab::new(), tempfile::tempdir().unwrap());
    let base = dir.path().to_str().unwrap();
    let missing = format!("{base}/missing.txt");
    assert_eq!(failure(&lab, &json!({"source": missing})).message, format!("corpus source {missing} does not exist"));
    assert!(failure(&lab, &json!({"source": ""})).message.contains("no corpus was given"));
    assert!(failure(&lab, &json!({"source": format!("{base}/*.txt")})).message.contains("matches no file"));
    assert!(failure(&lab, &json!({"source": format!("{base}/[.txt")})).message.contains("invalid glob"));
    write(dir.path(), "only.png", b"x");
    let message = failure(&lab, &json!({"source": base})).message;
    assert!(message.contains("has no file to import (1 with other extensions)"), "{message}");
    assert!(failure(&lab, &json!({"source": "builtin:shakespeare"})).message.contains("no built-in corpus"));
    assert!(failure(&lab, &json!({"source": []})).message.contains("empty list"));
    let blank = write(dir.path(), "blank.txt", b" \n\n ");
    assert!(failure(&lab, &json!({"source": blank})).message.contains("the corpus is empty"));
    assert!(
        failure(&lab, &json!({"source": "builtin:grammar", "documents": 0})).message.contains("the corpus is empty")
    );
}

#[test]
fn bad_bytes_are_refused_with_file_line_and_offset() {
    let (lab, dir) = (StepLab::new(), tempfile::tempdir().unwrap());
    let text = write(dir.path(), "latin.txt", b"good line\ncaf\xE9 au lait\n");
    let message = failure(&lab, &json!({"source": text})).message;
    assert_eq!(message, format!("{text}:2: invalid UTF-8 at byte offset 13; it looks like windows-1252"));
    let binary = write(dir.path(), "picture.png", b"\x89PNG\r\n\x1A\n\0\0\0");
    let message = failure(&lab, &json!({"source": binary})).message;
    assert_eq!(message, format!("{binary} is a binary file: NUL byte at byte offset 8"));
    let late = [vec![b'a'; 300_000], b"\n\0".to_vec()].concat();
    let late = write(dir.path(), "late.txt", &late);
    assert!(failure(&lab, &json!({"source": late})).message.contains("NUL byte at byte offset 300001"));
    let wide = write(dir.path(), "wide.txt", b"\xFF\xFEh\0i\0");
    assert!(failure(&lab, &json!({"source": wide})).message.contains("is UTF-16"));
    // Good documents before a bad one leave nothing behind either.
    let good = write(dir.path(), "good.txt", b"fine");
    failure(&lab, &json!({"source": [good, text]}));
}

#[test]
fn damaged_compression_is_told_from_truncation() {
    let (lab, dir) = (StepLab::new(), tempfile::tempdir().unwrap());
    let noise: Vec<u8> = (0..200_000u32).map(|n| b' ' + (n.wrapping_mul(2_654_435_761) >> 25) as u8 % 90).collect();
    for (name, whole) in [("a.txt.gz", gz(&noise)), ("a.txt.zst", zst(&noise))] {
        let cut = write(dir.path(), name, &whole[..whole.len() / 2]);
        let message = failure(&lab, &json!({"source": cut})).message;
        assert!(message.contains(&cut) && message.contains("is truncated"), "{message}");
        let bad = write(dir.path(), name, b"this is plain text, not compressed data");
        let message = failure(&lab, &json!({"source": bad})).message;
        assert!(message.contains(&bad) && message.contains("is corrupt"), "{message}");
    }
    let mut flipped = gz(&noise);
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x10;
    let flipped = write(dir.path(), "flipped.txt.gz", &flipped);
    failure(&lab, &json!({"source": flipped}));
}

#[test]
fn bad_json_lines_are_refused_by_line() {
    let (lab, dir) = (StepLab::new(), tempfile::tempdir().unwrap());
    for (content, expected) in [
        ("{\"text\":\"a\"}\n[1]\n", ":2: expected a JSON object, found a list"),
        ("{\"text\":\"a\"}\n\n{\"body\":\"b\",\"id\":1}\n", ":3: no field `text`; fields here: `body`, `id`"),
        ("{\"text\":7}\n", ":1: field `text` is a number, not text"),
        ("{\"text\":\"a\"\n", ":1: not valid JSON"),
    ] {
        let path = write(dir.path(), "a.jsonl", content.as_bytes());
        let message = failure(&lab, &json!({"source": path})).message;
        assert!(message.starts_with(&format!("{path}{expected}")), "{message}");
    }
    let path = write(dir.path(), "b.jsonl", b"{\"body\":\"b\"}\n");
    assert_eq!(texts(&lab, &json!({"source": path, "text_field": "body"})), ["b"]);
}

#[test]
#[cfg(unix)]
fn an_unreadable_file_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let (lab, dir) = (StepLab::new(), tempfile::tempdir().unwrap());
    let path = write(dir.path(), "secret.txt", b"text");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    // Root can read everything.
    if fs::File::open(&path).is_err() {
        assert!(failure(&lab, &json!({"source": path})).message.contains("permission denied"));
    }
}

#[test]
fn one_changed_byte_changes_the_fingerprint() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "a.txt", b"one");
    let with = json!({"source": dir.path()});
    let before = CORPUS_IMPORT.fingerprint(&with).unwrap();
    assert_eq!(before, CORPUS_IMPORT.fingerprint(&with).unwrap());
    write(dir.path(), "a.txt", b"onE");
    let changed = CORPUS_IMPORT.fingerprint(&with).unwrap();
    assert_ne!(before, changed);
    fs::rename(dir.path().join("a.txt"), dir.path().join("b.txt")).unwrap();
    assert_ne!(changed, CORPUS_IMPORT.fingerprint(&with).unwrap());
    // The folder's location does not matter.
    let other = tempfile::tempdir().unwrap();
    write(other.path(), "a.txt", b"one");
    assert_eq!(before, CORPUS_IMPORT.fingerprint(&json!({"source": other.path()})).unwrap());
}

#[test]
fn the_grammar_gives_documents_and_pairs_and_its_bytes_are_fixed() {
    let lab = StepLab::new();
    let with = json!({"source": "builtin:grammar", "documents": 30});
    let outputs = lab.run(&CORPUS_IMPORT, &with).unwrap();
    assert_eq!(outputs.values["documents"], 30);
    assert!(outputs.artifacts["minimal_pairs"].size > 100_000);
    assert_eq!(outputs, StepLab::new().run(&CORPUS_IMPORT, &with).unwrap());
    let other = json!({"source": "builtin:grammar", "documents": 30, "seed": 2});
    assert_ne!(outputs.artifacts["documents"], lab.run(&CORPUS_IMPORT, &other).unwrap().artifacts["documents"]);
}

#[test]
fn an_interrupted_import_publishes_nothing() {
    let lab = StepLab::new();
    let with = json!({"source": "builtin:grammar", "documents": 500});
    assert!(lab.run_interrupted(&CORPUS_IMPORT, &with, 2).is_none());
    assert_eq!(lab.published_files(), 0);
}
