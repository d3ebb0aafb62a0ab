//! A document as the rules see it: words between white space, lines, paragraphs.

use crate::corpus_clean::hashing::hash64;

pub struct Word<'a> {
    pub text: &'a str,
    pub chars: u32,
    pub hash: u64,
}

/// Words and lines of one text.
pub struct Page<'a> {
    pub text: &'a str,
    pub words: Vec<Word<'a>>,
    /// Characters of all words.
    pub word_chars: u64,
    /// Lines with visible text.
    pub lines: Vec<&'a str>,
}

impl<'a> Page<'a> {
    pub fn new(text: &'a str) -> Self {
        let words: Vec<Word<'a>> = text
            .split_whitespace()
            .map(|text| Word { text, chars: text.chars().count() as u32, hash: hash64(text.as_bytes()) })
            .collect();
        let word_chars = words.iter().map(|word| u64::from(word.chars)).sum();
        let lines = text.lines().filter(|line| !line.trim().is_empty()).collect();
        Page { text, words, word_chars, lines }
    }

    /// Blocks between blank lines.
    pub fn paragraphs(&self) -> Vec<&'a str> {
        let mut blocks = Vec::new();
        let (mut start, mut end, mut at) = (None, 0, 0);
        for line in self.text.split_inclusive('\n') {
            if line.trim().is_empty() {
                blocks.extend(start.take().map(|start: usize| self.text[start..end].trim()));
            } else {
                start = start.or(Some(at));
                end = at + line.len();
            }
            at += line.len();
        }
        blocks.extend(start.map(|start| self.text[start..end].trim()));
        blocks
    }
}

/// Share of `part` in `whole`; 0 of nothing.
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
