//! Rust source as text, with comments, strings and tests blanked out.

/// One file three times. Blanked bytes are spaces, so that every offset and line number is the same in all three.
#[derive(Clone)]
pub struct Text {
    pub written: String,
    /// Without comments.
    pub code: String,
    /// Without comments and without the content of strings and characters.
    pub bare: String,
}

impl Text {
    pub fn new(written: &str) -> Text {
        let bytes = written.as_bytes();
        let mut code = bytes.to_vec();
        let mut bare = bytes.to_vec();
        let mut at = 0;
        while at < bytes.len() {
            match token(bytes, at) {
                Token::Comment(end) => {
                    blank(&mut code, at, end);
                    blank(&mut bare, at, end);
                    at = end;
                }
                Token::Literal(end) => {
                    blank(&mut bare, at + 1, end.saturating_sub(1));
                    at = end;
                }
                Token::Other(end) => at = end,
            }
        }
        Text { written: written.to_owned(), code: text(code), bare: text(bare) }
    }

    /// Without the items that only tests have. A line such as `#[cfg(test)] mod tests;` stays.
    pub fn without_tests(&self) -> Text {
        let bytes = self.bare.as_bytes();
        let mut cut = self.clone();
        let mut at = 0;
        while let Some(start) = self.bare[at..].find("#[").map(|found| at + found) {
            let end = closing(bytes, start + 1);
            at = end;
            if is_test_attribute(&self.bare[start..end]) {
                let item = item_end(&self.bare, end);
                if !is_module_declaration(&self.bare[end..item]) {
                    cut.blank(start, item);
                    at = item;
                }
            }
        }
        cut
    }

    fn blank(&mut self, start: usize, end: usize) {
        for part in [&mut self.written, &mut self.code, &mut self.bare] {
            let mut bytes = std::mem::take(part).into_bytes();
            blank(&mut bytes, start, end);
            *part = text(bytes);
        }
    }
}

/// True for `#[cfg(test)]` and `#[cfg(all(test, ...))]`, with or without spaces.
pub fn is_test_attribute(attribute: &str) -> bool {
    let dense: String = attribute.chars().filter(|c| !c.is_whitespace()).collect();
    dense.starts_with("#[cfg(test)]") || dense.starts_with("#[cfg(all(test,")
}

/// Offset after the bracket that closes the one at `open`.
pub fn closing(bytes: &[u8], open: usize) -> usize {
    let mut depth = 0_usize;
    for (index, byte) in bytes.iter().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return index + 1;
                }
            }
            _ => {}
        }
    }
    bytes.len()
}

/// True for a byte of an identifier.
pub fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

enum Token {
    Comment(usize),
    Literal(usize),
    Other(usize),
}

fn token(bytes: &[u8], at: usize) -> Token {
    let rest = &bytes[at..];
    if rest.starts_with(b"//") {
        let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        return Token::Comment(at + length);
    }
    if rest.starts_with(b"/*") {
        return Token::Comment(block_comment_end(bytes, at));
    }
    let in_word = at > 0 && is_word(bytes[at - 1]);
    match rest[0] {
        b'"' => Token::Literal(quoted_end(bytes, at)),
        b'r' if !in_word || matches!(bytes[at - 1], b'b' | b'c') => match raw_string_end(bytes, at) {
            Some(end) => Token::Literal(end),
            None => Token::Other(at + 1),
        },
        b'\'' => match character_end(bytes, at) {
            Some(end) => Token::Literal(end),
            None => Token::Other(at + 1),
        },
        _ => Token::Other(at + 1),
    }
}

fn block_comment_end(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

fn quoted_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn raw_string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let hashes = bytes[start + 1..].iter().take_while(|byte| **byte == b'#').count();
    let open = start + 1 + hashes;
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    let end: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let length = bytes[open + 1..].windows(end.len()).position(|window| window == end)?;
    Some(open + 1 + length + end.len())
}

/// `None` for a lifetime.
fn character_end(bytes: &[u8], start: usize) -> Option<usize> {
    let first = *bytes.get(start + 1)?;
    let from = if first == b'\\' { start + 3 } else { start + 2 };
    // A character has at most four bytes; an escape such as `\u{10FFFF}` ten.
    let until = if first == b'\\' {
        start + 13
    } else if first.is_ascii() {
        start + 3
    } else {
        start + 6
    };
    (from..until.min(bytes.len())).find(|at| bytes[*at] == b'\'').map(|at| at + 1)
}

fn blank(bytes: &mut [u8], start: usize, end: usize) {
    let end = end.min(bytes.len());
    for byte in bytes.get_mut(start..end).unwrap_or_default() {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Offset after the item that starts at `start`, with its further attributes.
fn item_end(bare: &str, start: usize) -> usize {
    let bytes = bare.as_bytes();
    let mut at = start;
    while bare[at..].trim_start().starts_with("#[") {
        let open = at + bare[at..].find('[').unwrap_or_default();
        at = closing(bytes, open);
    }
    let words = ["fn", "mod", "impl", "struct", "enum", "const", "static", "trait", "type", "use", "macro_rules"];
    let first = bare[at..].split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    let keyword = first.take(4).find(|word| words.contains(word));
    while at < bytes.len() {
        match bytes[at] {
            b';' => return at + 1,
            b',' if keyword.is_none() => return at + 1,
            b')' | b']' | b'}' => return at,
            b'{' => {
                at = closing(bytes, at);
                if keyword != Some("use") {
                    return at;
                }
            }
            b'(' | b'[' => at = closing(bytes, at),
            _ => at += 1,
        }
    }
    bytes.len()
}

/// True for `mod NAME;` with or without visibility and further attributes.
fn is_module_declaration(item: &str) -> bool {
    let last = item.rsplit(']').next().unwrap_or_default();
    last.trim_end().ends_with(';') && last.split_whitespace().any(|word| word == "mod") && !last.contains('{')
}

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn comments_and_strings_are_blanked_in_place() {
        let text = Text::new("a(\"// b\"); // c\n/* d /* e */ f */ g('\"', 'x', b\"\\\"h\", r#\"i\"j\"#, &'k str)");
        assert_eq!(text.code, "a(\"// b\");     \n                  g('\"', 'x', b\"\\\"h\", r#\"i\"j\"#, &'k str)");
        assert_eq!(text.bare, "a(\"    \");     \n                  g(' ', ' ', b\"   \", r      #, &'k str)");
    }

    #[test]
    fn a_character_may_be_of_any_length() {
        let text = Text::new("['é', '\\n', '\\u{1F600}', '😀', '\\'', '{']");
        assert!(!text.bare.contains(['é', 'n', 'u', '😀', '{', '\\']), "{}", text.bare);
        assert_eq!(text.bare.matches(',').count(), 5);
    }

    #[test]
    fn only_tests_are_left_out() {
        let written = "#[cfg(test)]\nmod tests;\nfn a() {}\n#[cfg(test)]\nuse x::{y, z};\nmod inner {\n    #[cfg(all(test, feature = \"f\"))]\n    mod tests {\n        fn b() {\n        }\n    }\n}\n#[cfg(test)]\n#[expect(x)]\npub fn of_tests(a: A<B, C>) {\n}\n#[cfg(not(test))]\nfn c() {}\nstruct D {\n    #[cfg(test)]\n    e: u8,\n    f: u8,\n}\n";
        let left = Text::new(written).without_tests();
        assert_eq!(left.written.lines().count(), written.lines().count(), "lines keep their numbers");
        let lines: Vec<&str> = left.bare.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let expected = [
            "#[cfg(test)]",
            "mod tests;",
            "fn a() {}",
            "mod inner {",
            "}",
            "#[cfg(not(test))]",
            "fn c() {}",
            "struct D {",
            "f: u8,",
            "}",
        ];
        assert_eq!(lines, expected);
    }
}
