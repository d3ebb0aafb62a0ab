//! GPT-2's pre-tokenizer without a regular expression.
//!
//! The expression (Radford et al. 2019) is
//! `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`. Its words cover every text without
//! gaps, and the end of a word depends on at most the next character, so one pass over the text finds all words.

use super::classes::{Class, Classes};

/// Longest run of white space, in bytes, that the library certainly treats as one word. Somewhere below a million
/// characters its expression gives up, and the rest of the text becomes one word.
const LONGEST_BLANK: usize = 1 << 16;

/// True for a word whose end only the library can determine, or whose positions do not fit in 32 bits.
pub fn is_left_to_library(word: &str) -> bool {
    word.len() > LONGEST_BLANK && (word.trim_start().is_empty() || u32::try_from(word.len()).is_err())
}

/// Iterates over the words of a text. Joined together, they are the text.
pub struct Words<'t> {
    text: &'t str,
    at: usize,
    classes: &'static Classes,
}

impl<'t> Words<'t> {
    pub fn new(text: &'t str) -> Self {
        Words { text, at: 0, classes: Classes::get() }
    }

    /// Class of the character at `at`, and the offset of the next one; `None` at the end of the text.
    fn look(&self, at: usize) -> Option<(Class, usize)> {
        let byte = *self.text.as_bytes().get(at)?;
        if let Some(class) = self.classes.of_byte(byte) {
            return Some((class, at + 1));
        }
        let c = self.text[at..].chars().next()?;
        Some((self.classes.of(c), at + c.len_utf8()))
    }

    /// End of the run of characters of `class` that starts at `at`.
    fn skip(&self, mut at: usize, class: Class) -> usize {
        while let Some((found, next)) = self.look(at)
            && found == class
        {
            at = next;
        }
        at
    }

    /// Implements `\s+(?!\S)|\s+`: all white space except the last character before a visible one, which starts the
    /// next word.
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

/// Length of the part after the apostrophe in `'s|'t|'re|'ve|'m|'ll|'d`.
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
