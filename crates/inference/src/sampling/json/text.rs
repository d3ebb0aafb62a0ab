//! Strings of JSON, byte by byte.

/// Where a string is, after its first quotation mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// Between characters.
    Plain,
    /// After a backslash.
    Escape,
    /// So many hexadecimal digits.
    Hex(u8),
    /// The second of four digits, after a `d`: a surrogate alone is no character.
    HexAfterD,
    /// So many more bytes of a character, the next one within these limits.
    Bytes(u8, u8, u8),
}

/// Effect of a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextStep {
    /// The string continues. [`Text::Plain`] ends a character.
    Inside(Text),
    End,
}

impl Text {
    /// The effect of the next byte, or `None` if no string continues so.
    pub fn next(self, byte: u8) -> Option<TextStep> {
        let next = match (self, byte) {
            (Text::Plain, b'"') => return Some(TextStep::End),
            (Text::Plain, b'\\') => Text::Escape,
            (Text::Plain, b' '..=b'~' | 0x7F) => Text::Plain,
            // Table 3-7 of the Unicode standard: no overlong forms, no surrogates, nothing above U+10FFFF.
            (Text::Plain, 0xC2..=0xDF) => Text::Bytes(1, 0x80, 0xBF),
            (Text::Plain, 0xE0) => Text::Bytes(2, 0xA0, 0xBF),
            (Text::Plain, 0xED) => Text::Bytes(2, 0x80, 0x9F),
            (Text::Plain, 0xE1..=0xEF) => Text::Bytes(2, 0x80, 0xBF),
            (Text::Plain, 0xF0) => Text::Bytes(3, 0x90, 0xBF),
            (Text::Plain, 0xF1..=0xF3) => Text::Bytes(3, 0x80, 0xBF),
            (Text::Plain, 0xF4) => Text::Bytes(3, 0x80, 0x8F),
            (Text::Escape, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Text::Plain,
            (Text::Escape, b'u') => Text::Hex(4),
            (Text::Hex(4), b'd' | b'D') => Text::HexAfterD,
            (Text::HexAfterD, b'0'..=b'7') => Text::Hex(2),
            (Text::Hex(left), byte) if byte.is_ascii_hexdigit() => match left {
                1 => Text::Plain,
                _ => Text::Hex(left - 1),
            },
            (Text::Bytes(left, low, high), byte) if (low..=high).contains(&byte) => match left {
                1 => Text::Plain,
                _ => Text::Bytes(left - 1, 0x80, 0xBF),
            },
            _ => return None,
        };
        Some(TextStep::Inside(next))
    }
}

/// Number of characters, if `bytes` are whole characters that stand for themselves in a string.
pub fn plain_characters(bytes: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.is_empty())?;
    let plain = text.chars().all(|character| character >= ' ' && character != '"' && character != '\\');
    plain.then(|| u32::try_from(text.chars().count()).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(bytes: &[u8]) -> Option<TextStep> {
        bytes.iter().try_fold(TextStep::Inside(Text::Plain), |step, byte| match step {
            TextStep::Inside(text) => text.next(*byte),
            TextStep::End => None,
        })
    }

    #[test]
    fn strings_are_those_of_other_parsers() {
        for text in [r#"aé€😀""#, r#"\u00e9\uD7FF\uE000""#, r#"\"\\\/\b\f\n\r\t""#] {
            assert_eq!(ends(text.as_bytes()), Some(TextStep::End), "{text}");
            assert!(serde_json::from_str::<String>(&format!("\"{text}")).is_ok());
        }
        for text in [&br"\uD800"[..], br"\udc", br"\x", b"\n", b"\xC0\x80", b"\xED\xA0", b"\xF4\x90", br"\u12g"] {
            assert_eq!(ends(text), None, "{text:?}");
        }
    }

    #[test]
    fn whole_characters_that_need_no_escape_are_counted() {
        let found = ["ab", "é€😀", "", "a\"", "\\", "a\n", "\u{7f}"].map(|text| plain_characters(text.as_bytes()));
        assert_eq!(found, [Some(2), Some(3), None, None, None, None, Some(1)]);
        assert_eq!(plain_characters(&"é".as_bytes()[..1]), None);
    }
}
