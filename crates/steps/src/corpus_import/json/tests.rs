//! Compares the scanner with serde_json.

use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::scan::Scan;
use super::unescape::unescape;
use super::{Field, Frame, Framed, field};

fn is_valid(text: &str) -> bool {
    let mut scan = Scan::new(text);
    scan.value().and_then(|()| scan.end()).is_ok()
}

proptest! {
    /// Valid JSON, and JSON with an extra or a missing character.
    #[test]
    fn the_scanner_takes_what_serde_json_takes(text in "[\\[\\]{}\",:0-9eE+.\\- \\\\truefalsn\u{e9}]{0,24}") {
        prop_assert_eq!(is_valid(&text), serde_json::from_str::<IgnoredAny>(&text).is_ok(), "{}", text);
    }

    #[test]
    fn the_text_is_that_of_serde_json(
        text: String,
        other in proptest::collection::vec(any::<(String, i32)>(), 0..4),
        ascii: bool,
    ) {
        let mut object = serde_json::Map::new();
        for (name, value) in other {
            object.insert(name, value.into());
        }
        object.insert("the text".to_owned(), text.clone().into());
        let mut line = serde_json::to_string(&object).unwrap();
        if ascii {
            let escaped = |c: char| {
                let mut units = [0; 2];
                c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>()
            };
            line = line.chars().map(|c| if c.is_ascii() { c.to_string() } else { escaped(c) }).collect();
        }
        prop_assert_eq!(field(&line, "the text"), Ok(Field::Text { text, lone_surrogates: 0 }));
    }

    #[test]
    fn a_frame_ends_where_the_value_ends(
        items in proptest::collection::vec(any::<(String, f64)>(), 0..4),
        shape in 0..4,
        behind in "[,\\] \n]",
        cut in 0usize..200,
    ) {
        let value = match shape {
            0 => serde_json::to_string(&items),
            1 => serde_json::to_string_pretty(&items),
            2 => serde_json::to_string(&items.iter().map(|(text, _)| text.as_str()).collect::<String>()),
            _ => serde_json::to_string(&items.len()),
        }
        .unwrap();
        let bytes = format!("{value}{behind}").into_bytes();
        let cut = cut.min(bytes.len());
        let mut frame = Frame::default();
        let end = match frame.feed(&bytes[..cut]) {
            Framed::Ends(end) => end,
            Framed::More => match frame.feed(&bytes[cut..]) {
                Framed::Ends(end) => cut + end,
                Framed::More => bytes.len(),
            },
        };
        prop_assert_eq!(end, value.len(), "{} {}", value, cut);
    }

    #[test]
    fn no_string_makes_unescaping_panic(raw in "(\\\\u[0-9a-fA-F]{4}|\\\\n|[a-z\u{e9}])*") {
        let (text, lone) = unescape(&raw);
        let replaced = text.chars().filter(|c| *c == char::REPLACEMENT_CHARACTER).count() as u64;
        prop_assert!(replaced >= lone);
    }
}

#[test]
fn an_early_end_is_told_from_an_error() {
    for (text, ends_early) in [
        ("{", true),
        ("{\"a\": [1,", true),
        ("{\"a", true),
        ("{\"a\" 1}", false),
        ("{\"a\": tru]", false),
        ("{]", false),
    ] {
        assert_eq!(Scan::new(text).value().unwrap_err().ends_early, ends_early, "{text}");
    }
}
