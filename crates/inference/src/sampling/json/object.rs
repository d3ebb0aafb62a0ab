//! A state machine over the bytes of one JSON object (RFC 8259), so that only tokens that keep the text valid are chosen.

use super::limits::{DEPTH, SPACE, is_space};
use super::number::Number;
use super::text::{Text, TextStep};

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

    /// Characters that may follow whatever they are, as long as they stand for themselves in a string.
    pub fn room_for_text(self) -> u32 {
        if matches!(self.expects, Expects::Text(Text::Plain, _)) { u32::MAX } else { 0 }
    }

    fn next(self, byte: u8) -> Option<Self> {
        match self.expects {
            Expects::Text(text, role) => self.in_text(text, role, byte),
            Expects::Word([first, rest @ ..]) => (byte == *first).then(|| match rest {
                [] => self.expect(Expects::Next),
                _ => self.expect(Expects::Word(rest)),
            }),
            Expects::Number(number) => self.in_number(number, byte),
            _ if is_space(byte) => (self.space < SPACE).then_some(JsonState { space: self.space + 1, ..self }),
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
            _ => Expects::Number(Number::start(byte)?),
        };
        Some(self.expect(expects))
    }

    fn in_text(self, text: Text, role: Role, byte: u8) -> Option<Self> {
        Some(self.expect(match (text.next(byte)?, role) {
            (TextStep::Inside(text), role) => Expects::Text(text, role),
            (TextStep::End, Role::Key) => Expects::Colon,
            (TextStep::End, Role::Value) => Expects::Next,
        }))
    }

    fn in_number(self, number: Number, byte: u8) -> Option<Self> {
        match number.next(byte) {
            Some(number) => Some(self.expect(Expects::Number(number))),
            // The byte is not part of the number.
            None if number.is_complete() => self.expect(Expects::Next).next(byte),
            None => None,
        }
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
