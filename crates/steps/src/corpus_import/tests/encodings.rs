//! Tests that text other than UTF-8 is read if `encoding` says so, and otherwise refused with the likely encoding.

use serde_json::json;

use super::{failure_in, gz, noted, texts_in, write};
use crate::tests::StepLab;

fn utf16(text: &str, big: bool) -> Vec<u8> {
    text.encode_utf16().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

const WIDE: &str = "caf\u{e9} \u{4e2d}\u{6587} \u{1F600}\nsecond line\n";

#[test]
fn other_encodings_are_read_when_they_are_named() {
    let marked = |big| [utf16("\u{FEFF}", big), utf16(WIDE, big)].concat();
    for (encoding, bytes) in [
        ("utf-16le", utf16(WIDE, false)),
        ("UTF-16BE", utf16(WIDE, true)),
        ("utf-16", marked(false)),
        ("utf-16", marked(true)),
        ("utf_16_le", marked(false)),
        ("utf-8-sig", [b"\xEF\xBB\xBF".to_vec(), WIDE.into()].concat()),
        ("gb18030", encoding_rs::GB18030.encode(WIDE).0.into_owned()),
    ] {
        assert_eq!(texts_in("a.txt", &bytes, &json!({"encoding": encoding})), [WIDE], "{encoding}");
        assert_eq!(texts_in("a.txt.gz", &gz(&bytes), &json!({"encoding": encoding})), [WIDE], "{encoding}");
    }
    for label in ["latin1", "latin-1", "ISO-8859-1", "windows-1252", "cp1252"] {
        assert_eq!(texts_in("a.txt", b"caf\xE9", &json!({"encoding": label})), ["caf\u{e9}"], "{label}");
    }
    let lines = "{\"text\": \"\u{30c6}\u{30b9}\u{30c8}\"}\n{\"text\": \"two\"}\n";
    let shift_jis = encoding_rs::SHIFT_JIS.encode(lines).0;
    assert_eq!(texts_in("a.jsonl", &shift_jis, &json!({"encoding": "shift_jis"})), ["\u{30c6}\u{30b9}\u{30c8}", "two"]);
    assert_eq!(texts_in("a.jsonl", &utf16(lines, false), &json!({"encoding": "utf-16le"})).len(), 2);
}

/// The text is longer than every buffer, so buffer ends split characters.
#[test]
fn long_text_is_decoded_in_pieces() {
    let text = "x\u{1F600}\u{e9}".repeat(100_000);
    assert_eq!(texts_in("a.txt", &utf16(&text, true), &json!({"encoding": "utf-16be"})), [text]);
}

#[test]
fn the_refusal_names_the_place_the_likely_encoding_and_the_argument() {
    let japanese = encoding_rs::SHIFT_JIS
        .encode("\u{3053}\u{308c}\u{306f}\u{65e5}\u{672c}\u{8a9e}\u{306e}\u{6587}\u{7ae0}\u{3067}\u{3059}\u{3002}\n")
        .0;
    let russian = encoding_rs::WINDOWS_1251.encode("\u{41f}\u{440}\u{438}\u{432}\u{435}\u{442}, \u{43c}\u{438}\u{440}! \u{41a}\u{430}\u{43a} \u{434}\u{435}\u{43b}\u{430}?\n").0;
    for (bytes, place, likely) in [
        (&b"good line\ncaf\xE9 au lait\n"[..], "FILE:2: invalid UTF-8 at byte offset 13", "windows-1252"),
        (&japanese, "FILE:1: invalid UTF-8 at byte offset 0", "shift_jis"),
        (&russian, "FILE:1: invalid UTF-8 at byte offset 0", "windows-1251"),
        (
            &utf16("\u{FEFF}hi", false),
            "FILE is UTF-16LE, not UTF-8: its byte order mark is at byte offset 0",
            "utf-16le",
        ),
        (&utf16("plain words", false), "FILE looks like UTF-16LE, not UTF-8", "utf-16le"),
        (&utf16("plain words", true), "FILE looks like UTF-16BE, not UTF-8", "utf-16be"),
    ] {
        let failure = failure_in("a.txt", bytes, &json!({}));
        assert!(failure.message.starts_with(place), "{failure}");
        assert!(failure.hint.as_ref().unwrap().contains(&format!("encoding = \"{likely}\"")), "{:?}", failure.hint);
    }
    // One bad byte in text that is otherwise UTF-8 is damage, not another encoding.
    let failure = failure_in("a.txt", b"caf\xC3\xA9\n\xE9 bad\n", &json!({}));
    assert!(failure.message.contains(":2: invalid UTF-8 at byte offset 6, in text that is UTF-8"), "{failure}");
    assert!(!failure.hint.unwrap().contains("encoding ="));
}

#[test]
fn a_file_that_contradicts_the_encoding_is_refused() {
    for (encoding, bytes, message) in [
        ("windows-1252", &b"\xEF\xBB\xBFtext"[..], "FILE is UTF-8, not windows-1252"),
        ("utf-16le", &b"\xFE\xFF\0h\0i"[..], "FILE is UTF-16BE, not UTF-16LE"),
        ("utf-16le", &[b'a'; 100][..], "FILE looks like UTF-8, not UTF-16LE"),
        ("utf-8", &b"\xFF\xFE\0\0h\0\0\0"[..], "FILE is UTF-32"),
        ("shift_jis", &b"good \x82\xA0\nbad \x82\xFF\xFF"[..], "invalid Shift_JIS at byte offset 12"),
        ("utf-16le", &b"h\0i\0\0\xD8x\0"[..], "invalid UTF-16LE at byte offset 4"),
        ("klingon", &b"x"[..], "unknown encoding `klingon`"),
        ("iso-2022-kr", &b"x"[..], "unknown encoding `iso-2022-kr`"),
    ] {
        let failure = failure_in("a.txt", bytes, &json!({"encoding": encoding}));
        assert!(failure.message.contains(message), "{failure}");
    }
}

#[test]
fn utf8_under_another_encoding_is_noted() {
    let (lab, dir) = (StepLab::new(), tempfile::tempdir().unwrap());
    write(dir.path(), "a.txt", "caf\u{e9} \u{fc}ber \u{e0} la carte\u{2026}".as_bytes());
    write(dir.path(), "b.txt", b"caf\xE9 \xFCber \xE0 la carte\x85");
    let (_, notes) = noted(&lab, &json!({"source": dir.path(), "encoding": "windows-1252"}));
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].starts_with("1 file looks like UTF-8: ") && notes[0].ends_with("a.txt"), "{notes:?}");
}
