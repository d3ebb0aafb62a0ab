//! Tells special tokens that a template writes from text of messages that looks like them.
//!
//! Before a template runs, every special token in a message is broken by [`BREAK`]. Afterwards, a special token in the
//! result can only come from the template; it gets a name that no message can contain.

use std::borrow::Cow;
use std::fmt::Write;
use std::ops::Range;

/// Stands within text of messages that would be a special token.
pub const BREAK: char = '\u{fdd0}';
/// Around the number of a special token of the template.
const NAME: (char, char) = ('\u{fdd1}', '\u{fdd2}');

/// Before and behind what a model learns from a conversation: the answers.
pub const LEARNED: (char, char) = ('\u{fdd3}', '\u{fdd4}');

/// The added tokens of a tokenizer.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    /// By first byte, longest first: the token, and its id if it is special.
    tokens: Vec<Vec<(String, Option<u32>)>>,
}

impl Marks {
    /// `tokens` are all added tokens; the special ones with their id.
    pub fn new<'a>(tokens: impl IntoIterator<Item = (&'a str, Option<u32>)>) -> Marks {
        let mut by_byte = vec![Vec::new(); 256];
        for (token, id) in tokens {
            if let Some(first) = token.bytes().next() {
                by_byte[usize::from(first)].push((token.to_owned(), id));
            }
        }
        for list in &mut by_byte {
            list.sort_by_key(|(token, _)| std::cmp::Reverse(token.len()));
        }
        Marks { tokens: by_byte }
    }

    /// Name of a special token in a renamed text.
    pub fn name(id: u32) -> String {
        format!("{}{id}{}", NAME.0, NAME.1)
    }

    /// Breaks the special tokens in text of a message, also one that only starts at its end. Characters of this
    /// module, which are none of Unicode, become U+FFFD.
    pub fn break_tokens<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let ours = |character: char| [BREAK, NAME.0, NAME.1, LEARNED.0, LEARNED.1].contains(&character);
        let text: Cow<'t, str> =
            if text.contains(ours) { text.replace(ours, "\u{fffd}").into() } else { Cow::Borrowed(text) };
        let mut broken = String::new();
        let mut copied = 0;
        for (at, character) in text.char_indices() {
            let rest = &text[at..];
            let starts = |(token, id): &(String, Option<u32>)| {
                id.is_some() && (rest.starts_with(token.as_str()) || token.starts_with(rest))
            };
            if self.with_first(text.as_bytes()[at]).iter().any(starts) {
                let end = at + character.len_utf8();
                broken.push_str(&text[copied..end]);
                broken.push(BREAK);
                copied = end;
            }
        }
        if copied == 0 {
            return text;
        }
        broken.push_str(&text[copied..]);
        Cow::Owned(broken)
    }

    /// Gives the special tokens of a rendered text their names, and removes all marks.
    pub fn rename(&self, marked: &str) -> String {
        self.rename_learned(marked).0
    }

    /// The same, with the parts of the renamed text that are learned.
    pub fn rename_learned(&self, marked: &str) -> (String, Vec<Range<usize>>) {
        let mut renamed = String::with_capacity(marked.len());
        let mut learned = Vec::new();
        let mut start = None;
        let mut rest = marked;
        while let Some(first) = rest.chars().next() {
            let found = self.with_first(rest.as_bytes()[0]).iter().find(|(token, _)| rest.starts_with(token.as_str()));
            let taken = match found {
                Some((token, Some(id))) => {
                    // Writing to a string cannot fail.
                    let _ = write!(renamed, "{}{id}{}", NAME.0, NAME.1);
                    token.len()
                }
                Some((token, None)) => {
                    renamed.push_str(token);
                    token.len()
                }
                None => {
                    match first {
                        BREAK => {}
                        first if first == LEARNED.0 => start = start.or(Some(renamed.len())),
                        first if first == LEARNED.1 => learned.extend(start.take().map(|start| start..renamed.len())),
                        first => renamed.push(first),
                    }
                    first.len_utf8()
                }
            };
            rest = &rest[taken..];
        }
        (renamed, learned)
    }

    fn with_first(&self, byte: u8) -> &[(String, Option<u32>)] {
        self.tokens.get(usize::from(byte)).map_or(&[], Vec::as_slice)
    }
}

/// The text that a person reads: without marks.
pub fn unmarked(marked: &str) -> String {
    marked.replace([BREAK, LEARNED.0, LEARNED.1], "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks() -> Marks {
        Marks::new([("<|im_end|>", Some(7)), ("<|im_end|>\n", None), ("<|im|>", Some(9)), ("<think>", None)])
    }

    #[test]
    fn only_tokens_of_the_template_get_a_name() {
        let user = marks().break_tokens("a <|im_end|> b <think> <|im").into_owned();
        let rendered = format!("{user}<|im|>|>{user}_end|><|im_end|>");
        assert_eq!(
            marks().rename(&rendered),
            "a <|im_end|> b <think> <|im\u{fdd1}9\u{fdd2}|>a <|im_end|> b <think> <|im_end|>\u{fdd1}7\u{fdd2}"
        );
        assert_eq!(unmarked(&user), "a <|im_end|> b <think> <|im");
    }

    #[test]
    fn what_is_learned_is_found_in_the_renamed_text() {
        let user = marks().break_tokens("x\u{fdd3}<|im|>").into_owned();
        let (text, learned) =
            marks().rename_learned(&format!("<|im|>{user}\u{fdd3}ab<|im_end|>\u{fdd4}\n\u{fdd3}c\u{fdd4}"));
        assert_eq!(text, "\u{fdd1}9\u{fdd2}x\u{fffd}<|im|>ab\u{fdd1}7\u{fdd2}\nc");
        let texts: Vec<&str> = learned.into_iter().map(|range| &text[range]).collect();
        assert_eq!(texts, ["ab\u{fdd1}7\u{fdd2}", "c"]);
    }

    #[test]
    fn names_cannot_be_written_by_a_person() {
        let forged = Marks::name(7);
        assert_eq!(marks().break_tokens(&forged), "\u{fffd}7\u{fffd}");
        assert!(matches!(marks().break_tokens("plain < text"), Cow::Borrowed(_)));
        // What is broken at one place cannot be joined at another.
        let split = marks().break_tokens("<\u{fdd0}|im|>").into_owned();
        assert_eq!(marks().rename(&split), "<\u{fffd}|im|>");
    }
}
