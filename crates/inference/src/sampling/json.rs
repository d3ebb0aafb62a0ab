//! A state machine over the bytes of one JSON object (RFC 8259), so that only tokens that keep the text valid are chosen.

/// Most objects and arrays inside each other.
const DEPTH: u32 = 64;
/// Most bytes of white space in a row: without a limit, a model may write nothing else.
const SPACE: u8 = 64;

/// What has been read of a JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonState {
    expects: Expects,
    /// One bit for each container around this place, the innermost one lowest: 1 for an object.
    containers: u64,
    depth: u32,
    /// Bytes of white space just before.
    space: u8,
}

/// What may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expects {
    /// The object itself.
    Start,
    /// A key, or the end of an empty object.
    FirstKey,
    Key,
    Colon,
    /// A value; the end of an empty array, too.
    FirstValue,
    Value,
    /// A comma or the end of the container.
    Next,
    /// The rest of a string.
    Text(Text, Role),
    /// The rest of `true`, `false` or `null`.
    Word(&'static [u8]),
    Number(Number),
    /// Nothing but white space.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Key,
    Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    Plain,
    /// After a backslash.
    Escape,
    /// So many hexadecimal digits.
    Hex(u8),
    /// So many more bytes of a character, the next one within these limits.
    Bytes(u8, u8, u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Minus,
    /// A zero, which no digit may follow.
    Zero,
    Digits,
    Point,
    Fraction,
    Exponent,
    Sign,
    ExponentDigits,
}

impl Default for JsonState {
    fn default() -> Self {
        JsonState { expects: Expects::Start, containers: 0, depth: 0, space: 0 }
    }
}

impl JsonState {
    /// The state after `bytes`, or `None` if no JSON object starts so.
    pub fn after(mut self, bytes: &[u8]) -> Option<Self> {
        for byte in bytes {
            self = self.next(*byte)?;
        }
        Some(self)
    }

    /// True if the object is complete.
    pub fn is_complete(self) -> bool {
        self.expects == Expects::End
    }

    fn next(self, byte: u8) -> Option<Self> {
        match self.expects {
            Expects::Text(text, role) => self.in_text(text, role, byte),
            Expects::Word([first, rest @ ..]) => (byte == *first).then(|| match rest {
                [] => self.expect(Expects::Next),
                _ => self.expect(Expects::Word(rest)),
            }),
            Expects::Number(number) => self.in_number(number, byte),
            _ if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') => {
                (self.space < SPACE).then_some(JsonState { space: self.space + 1, ..self })
            }
            Expects::Start => (byte == b'{').then(|| self.open(1)).flatten(),
            Expects::FirstKey if byte == b'}' => self.close(byte),
            Expects::FirstKey | Expects::Key => {
                (byte == b'"').then(|| self.expect(Expects::Text(Text::Plain, Role::Key)))
            }
            Expects::Colon => (byte == b':').then(|| self.expect(Expects::Value)),
            Expects::FirstValue if byte == b']' => self.close(byte),
            Expects::FirstValue | Expects::Value => self.start_value(byte),
            Expects::Next if byte == b',' => {
                Some(self.expect(if self.containers & 1 == 1 { Expects::Key } else { Expects::Value }))
            }
            Expects::Next => self.close(byte),
            Expects::Word([]) | Expects::End => None,
        }
    }

    fn expect(self, expects: Expects) -> Self {
        JsonState { expects, space: 0, ..self }
    }

    /// Enters an object (1) or an array (0).
    fn open(self, kind: u64) -> Option<Self> {
        let expects = if kind == 1 { Expects::FirstKey } else { Expects::FirstValue };
        let state =
            JsonState { containers: self.containers << 1 | kind, depth: self.depth + 1, ..self.expect(expects) };
        (self.depth < DEPTH).then_some(state)
    }

    /// Leaves the innermost container, if `byte` ends it.
    fn close(self, byte: u8) -> Option<Self> {
        let end = if self.containers & 1 == 1 { b'}' } else { b']' };
        let expects = if self.depth == 1 { Expects::End } else { Expects::Next };
        let state = JsonState { containers: self.containers >> 1, depth: self.depth - 1, ..self.expect(expects) };
        (byte == end).then_some(state)
    }

    fn start_value(self, byte: u8) -> Option<Self> {
        let expects = match byte {
            b'{' => return self.open(1),
            b'[' => return self.open(0),
            b'"' => Expects::Text(Text::Plain, Role::Value),
            b't' => Expects::Word(b"rue"),
            b'f' => Expects::Word(b"alse"),
            b'n' => Expects::Word(b"ull"),
            b'-' => Expects::Number(Number::Minus),
            b'0' => Expects::Number(Number::Zero),
            b'1'..=b'9' => Expects::Number(Number::Digits),
            _ => return None,
        };
        Some(self.expect(expects))
    }

    fn in_text(self, text: Text, role: Role, byte: u8) -> Option<Self> {
        let next = match (text, byte) {
            (Text::Plain, b'"') => {
                return Some(self.expect(if role == Role::Key { Expects::Colon } else { Expects::Next }));
            }
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
        Some(self.expect(Expects::Text(next, role)))
    }

    fn in_number(self, number: Number, byte: u8) -> Option<Self> {
        let next = match (number, byte) {
            (Number::Minus, b'0') => Number::Zero,
            (Number::Minus, b'1'..=b'9') | (Number::Digits, b'0'..=b'9') => Number::Digits,
            (Number::Zero | Number::Digits, b'.') => Number::Point,
            (Number::Point | Number::Fraction, b'0'..=b'9') => Number::Fraction,
            (Number::Zero | Number::Digits | Number::Fraction, b'e' | b'E') => Number::Exponent,
            (Number::Exponent, b'+' | b'-') => Number::Sign,
            (Number::Exponent | Number::Sign | Number::ExponentDigits, b'0'..=b'9') => Number::ExponentDigits,
            // The byte is not part of the number.
            (Number::Zero | Number::Digits | Number::Fraction | Number::ExponentDigits, _) => {
                return self.expect(Expects::Next).next(byte);
            }
            _ => return None,
        };
        Some(self.expect(Expects::Number(next)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn complete(text: &str) -> Option<bool> {
        JsonState::default().after(text.as_bytes()).map(JsonState::is_complete)
    }

    #[test]
    fn objects_are_complete_at_their_end() {
        for text in [
            "{}",
            " { } \n",
            r#"{"a":1}"#,
            r#"{"a":[1,-0.5e+3,true,false,null,"x\"\u00e9ü\n"],"b":{"c":[[],{}]}}"#,
            r#"{"":0}"#,
            r#"{"a" : 1E9 , "b":[ ]}"#,
        ] {
            assert_eq!(complete(text), Some(true), "{text}");
            for end in 1..text.trim_end().len() {
                let state = JsonState::default().after(&text.as_bytes()[..end]).expect(text);
                assert!(!state.is_complete(), "{text} at {end}");
            }
        }
        let deep = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!([complete(&deep(63)), complete(&deep(64))], [Some(true), None]);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in [
            "[",
            "1",
            "\"",
            "{1",
            "{,",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":[1,]}"#,
            r#"{"a":01}"#,
            r#"{"a":-}"#,
            r#"{"a":1.}"#,
            r#"{"a":1e}"#,
            r#"{"a":tru}"#,
            r#"{"a":[}"#,
            r#"{"a":{]"#,
            "{}x",
            "{}{}",
            "{\"\n",
            r#"{"\x"#,
            r#"{"\u12g"#,
            r#"{"a":+1"#,
            r#"{"a":.5"#,
            r#"{"a" "b""#,
        ] {
            assert_eq!(complete(text), None, "{text}");
        }
        for bytes in [&b"{\"\xC0\x80"[..], b"{\"\xED\xA0\x80", b"{\"\xF4\x90", b"{\"\xFF", b"{\"\xE0\x9F", b"{\"\x80"] {
            assert_eq!(JsonState::default().after(bytes), None, "{bytes:?}");
        }
        assert!(JsonState::default().after(&[b' '; 64]).is_some() && JsonState::default().after(&[b' '; 65]).is_none());
    }

    proptest! {
        /// Whatever is accepted as complete is JSON for another parser, too.
        #[test]
        fn a_complete_text_is_json(words in prop::collection::vec(
            prop::sample::select(vec!["{", "}", "[", "]", ":", ",", "\"", "\"a\"", "1", "-0", ".5", "e7", "true", "null", " ", "ü", "\\", "\\n", "u00e9"]),
            0..40,
        )) {
            let mut state = JsonState::default();
            let mut text = String::from("{");
            state = state.after(b"{").unwrap();
            for word in words {
                if let Some(next) = state.after(word.as_bytes()) {
                    state = next;
                    text.push_str(word);
                }
            }
            let parsed = serde_json::from_str::<serde_json::Value>(&text);
            prop_assert_eq!(state.is_complete(), parsed.is_ok(), "{}", text);
        }
    }
}
