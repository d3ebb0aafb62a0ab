//! GPT-2's pre-tokenizer without a regular expression.
//!
//! The expression (Radford et al. 2019) is
//! `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`. Its words cover every text without
//! gaps, and where one ends depends on at most the next character, so one pass over the text finds them.

use super::classes::{Class, Classes};

/// The longest run of white space that the library surely treats as one word: its expression gives up within a million
/// characters, and the text after them becomes one word.
const LONGEST_BLANK: usize = 1 << 16;

/// True for a word whose end only the library can determine, or whose positions do not fit in 32 bits.
pub fn is_left_to_library(word: &str) -> bool {
    word.len() > LONGEST_BLANK && (word.trim_start().is_empty() || u32::try_from(word.len()).is_err())
}

/// The words of a text, in order; together they are the text.
pub struct Words<'t> {
    text: &'t str,
    at: usize,
    classes: &'static Classes,
}

impl<'t> Words<'t> {
    pub fn new(text: &'t str) -> Self {
        Words { text, at: 0, classes: Classes::get() }
    }

    /// The class of the character at `at`, and where the next one starts; none at the end of the text.
    fn look(&self, at: usize) -> Option<(Class, usize)> {
        let byte = *self.text.as_bytes().get(at)?;
        if let Some(class) = self.classes.of_byte(byte) {
            return Some((class, at + 1));
        }
        let c = self.text[at..].chars().next()?;
        Some((self.classes.of(c), at + c.len_utf8()))
    }

    /// Where the characters of one class that start at `at` end.
    fn skip(&self, mut at: usize, class: Class) -> usize {
        while let Some((found, next)) = self.look(at)
            && found == class
        {
            at = next;
        }
        at
    }

    /// `\s+(?!\S)|\s+`: all white space but the last character before a visible one, which starts the next word.
    fn skip_space(&self, start: usize) -> usize {
        let (mut at, mut last) = (start, start);
        while let Some((class, next)) = self.look(at) {
            if class != Class::Space {
                return if last == start { at } else { last };
            }
            (last, at) = (at, next);
        }
        at
    }

    fn end(&self, start: usize, first: (Class, usize)) -> usize {
        let bytes = self.text.as_bytes();
        let (class, next) = first;
        match class {
            Class::Other if bytes[start] == b'\'' => match contraction(&bytes[next..]) {
                Some(length) => next + length,
                None => self.skip(next, class),
            },
            Class::Space => match self.look(next) {
                Some((class, after)) if bytes[start] == b' ' && class != Class::Space => self.skip(after, class),
                _ => self.skip_space(start),
            },
            _ => self.skip(next, class),
        }
    }
}

/// The length of what follows the apostrophe in `'s|'t|'re|'ve|'m|'ll|'d`.
fn contraction(after: &[u8]) -> Option<usize> {
    match after {
        [b's' | b't' | b'm' | b'd', ..] => Some(1),
        [b'r' | b'v', b'e', ..] | [b'l', b'l', ..] => Some(2),
        _ => None,
    }
}

impl<'t> Iterator for Words<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let start = self.at;
        let first = self.look(start)?;
        self.at = self.end(start, first);
        Some(&self.text[start..self.at])
    }
}
