//! Normalises one document at a time, then keeps it or gives a reason to drop it.

use std::borrow::Cow;
use std::collections::HashSet;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfkc_quick};
use whatlang::Lang;

use super::markup;
use crate::invisible;

/// Rules for each document, applied in the order of the fields.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    pub strip_markup: bool,
    pub strip_urls: bool,
    pub nfkc: bool,
    pub min_chars: u64,
    pub max_chars: Option<u64>,
    /// Languages to keep; empty keeps all.
    pub languages: Vec<Lang>,
    pub dedupe: bool,
}

/// Reason to drop a document.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reason {
    Empty,
    TooShort,
    TooLong,
    Language,
    Duplicate,
}

impl Reason {
    pub const ALL: [Reason; 5] =
        [Reason::Empty, Reason::TooShort, Reason::TooLong, Reason::Language, Reason::Duplicate];

    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Empty => "empty",
            Reason::TooShort => "too_short",
            Reason::TooLong => "too_long",
            Reason::Language => "language",
            Reason::Duplicate => "duplicate",
        }
    }

    /// Returns a hint for keeping such documents, mostly by the arguments of `corpus.clean`.
    pub fn remedy(self) -> &'static str {
        match self {
            Reason::Empty => "the documents hold no visible text: check what was imported",
            Reason::TooShort => "lower `min_chars`",
            Reason::TooLong => "raise `max_chars`, or import with `split = \"paragraph\"`",
            Reason::Language => "add the corpus's language to `languages`, or leave `languages` out",
            Reason::Duplicate => "set `dedupe = false`",
        }
    }
}

/// Applies the rules and remembers the texts that it has kept.
pub struct Cleaner {
    rules: Rules,
    /// First 16 bytes of the digest of each kept text.
    seen: HashSet<[u8; 16]>,
    compatibility: Compatibility,
    /// Names of the invisible characters in a text that has no others.
    invisible: Vec<String>,
}

/// Statistics about NFKC normalisation.
#[derive(Clone, Default, Debug)]
pub struct Compatibility {
    /// Number of changed texts.
    pub texts: u64,
    /// The first changed character and its replacement.
    pub example: Option<(String, String)>,
}

/// Number of characters that language detection reads; more do not change the answer.
const LANGUAGE_CHARS: usize = 4000;

impl Cleaner {
    pub fn new(rules: Rules) -> Self {
        Cleaner { rules, seen: HashSet::new(), compatibility: Compatibility::default(), invisible: Vec::new() }
    }

    pub fn compatibility(&self) -> &Compatibility {
        &self.compatibility
    }

    /// Names of the invisible characters in a text that has no others.
    pub fn invisible(&self) -> &[String] {
        &self.invisible
    }

    /// Returns the normalised text.
    ///
    /// # Errors
    /// The reason to drop the document.
    pub fn clean(&mut self, text: &str) -> Result<String, Reason> {
        let original = text;
        let text = self.normalise(text);
        if text.trim().is_empty() {
            if self.invisible.is_empty() {
                self.invisible = invisible::names_in([original]);
            }
            return Err(Reason::Empty);
        }
        let chars = text.chars().count() as u64;
        if chars < self.rules.min_chars {
            return Err(Reason::TooShort);
        }
        if self.rules.max_chars.is_some_and(|most| chars > most) {
            return Err(Reason::TooLong);
        }
        if !self.speaks_wanted_language(&text) {
            return Err(Reason::Language);
        }
        if self.rules.dedupe && !self.seen.insert(short_digest(&text)) {
            return Err(Reason::Duplicate);
        }
        Ok(text)
    }

    fn normalise(&mut self, text: &str) -> String {
        let mut text = Cow::Borrowed(text);
        if self.rules.strip_markup {
            text = Cow::Owned(markup::strip_markup(&text));
        }
        if self.rules.strip_urls {
            text = Cow::Owned(markup::strip_urls(&text));
        }
        if self.rules.nfkc && is_nfkc_quick(text.chars()) != IsNormalized::Yes {
            let composed: String = text.nfkc().collect();
            if composed != text.as_ref() {
                self.compatibility.add(&text);
                text = Cow::Owned(composed);
            }
        }
        without_control_characters(&text)
    }

    fn speaks_wanted_language(&self, text: &str) -> bool {
        if self.rules.languages.is_empty() {
            return true;
        }
        let end = text.char_indices().nth(LANGUAGE_CHARS).map_or(text.len(), |(at, _)| at);
        whatlang::detect_lang(&text[..end]).is_some_and(|language| self.rules.languages.contains(&language))
    }
}

impl Compatibility {
    fn add(&mut self, text: &str) {
        self.texts += 1;
        if self.example.is_none() {
            let changed = |c: &char| is_nfkc_quick(std::iter::once(*c)) == IsNormalized::No;
            self.example = text.chars().find(changed).map(|c| (c.to_string(), std::iter::once(c).nfkc().collect()));
        }
    }
}

/// Converts line breaks and page breaks to `\n`. Removes zero-width spaces, byte order marks, and all other control
/// characters except tab. A removed character between two visible ones leaves a space, so that words stay apart.
fn without_control_characters(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut is_apart = true;
    while let Some(c) = chars.next() {
        let kept = match c {
            '\r' if chars.peek() == Some(&'\n') => continue,
            '\r' | '\u{B}' | '\u{C}' | '\u{85}' | '\u{2028}' | '\u{2029}' => '\n',
            '\n' | '\t' => c,
            '\u{FEFF}' | '\u{200B}' => {
                is_apart = true;
                continue;
            }
            c if c.is_control() => {
                is_apart = true;
                continue;
            }
            c => c,
        };
        if is_apart && !kept.is_whitespace() && out.chars().next_back().is_some_and(|last| !last.is_whitespace()) {
            out.push(' ');
        }
        is_apart = false;
        out.push(kept);
    }
    out
}

fn short_digest(text: &str) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..16]);
    short
}
