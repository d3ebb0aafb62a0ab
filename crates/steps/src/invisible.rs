//! Names invisible characters in messages, so that a refusal makes sense.

/// Names of characters that print as nothing or as a space.
const NAMES: [(char, &str); 22] = [
    ('\u{A0}', "no-break space"),
    ('\u{AD}', "soft hyphen"),
    ('\u{34F}', "combining grapheme joiner"),
    ('\u{61C}', "Arabic letter mark"),
    ('\u{180E}', "Mongolian vowel separator"),
    ('\u{200B}', "zero width space"),
    ('\u{200C}', "zero width non-joiner"),
    ('\u{200D}', "zero width joiner"),
    ('\u{200E}', "left-to-right mark"),
    ('\u{200F}', "right-to-left mark"),
    ('\u{2028}', "line separator"),
    ('\u{2029}', "paragraph separator"),
    ('\u{202A}', "left-to-right embedding"),
    ('\u{202B}', "right-to-left embedding"),
    ('\u{202C}', "pop directional formatting"),
    ('\u{202E}', "right-to-left override"),
    ('\u{202F}', "narrow no-break space"),
    ('\u{2060}', "word joiner"),
    ('\u{3000}', "ideographic space"),
    ('\u{3164}', "Hangul filler"),
    ('\u{FEFF}', "byte order mark"),
    ('\u{FFFC}', "object replacement character"),
];

/// Returns a name such as `U+200B (zero width space)` for an invisible character.
pub fn name(c: char) -> Option<String> {
    let known = NAMES.iter().find(|(invisible, _)| *invisible == c).map(|(_, name)| *name);
    let name = known.or_else(|| (c.is_control() && !matches!(c, '\n' | '\r' | '\t')).then_some("control character"))?;
    Some(format!("U+{:04X} ({name})", u32::from(c)))
}

/// Replaces every invisible character with its code point, such as `<U+200B>`.
pub fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match name(c) {
            Some(_) => out.push_str(&format!("<U+{:04X}>", u32::from(c))),
            None => out.push(c),
        }
    }
    out
}

/// Returns the names of up to three different invisible characters in texts.
pub fn names_in<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in texts.into_iter().flat_map(str::chars).filter_map(name) {
        if names.len() < 3 && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_characters_are_written_out_and_others_stay() {
        assert_eq!(shown("\u{FEFF}text\u{A0} caf\u{e9}\n"), "<U+FEFF>text<U+00A0> caf\u{e9}\n");
        assert_eq!(
            names_in(["a\u{200B}b", "\u{200B}\u{1}"]),
            ["U+200B (zero width space)", "U+0001 (control character)"]
        );
        assert!(NAMES.is_sorted_by_key(|(c, _)| *c));
    }
}
