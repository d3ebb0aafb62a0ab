//! Normalises one document, and judges it by its length, language and quality.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfkc_quick};
use whatlang::Lang;

use super::markup;
use super::pii::{self, Pii, Replaced};
use crate::corpus_clean::accounts::Reason;
use crate::corpus_clean::quality::Thresholds;
use crate::invisible;

/// Rules for each document, applied in the order of the fields.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    pub strip_markup: bool,
    pub strip_urls: bool,
    pub nfkc: bool,
    pub pii: Vec<Pii>,
    pub min_chars: u64,
    pub max_chars: Option<u64>,
    /// Languages to keep; empty keeps all.
    pub languages: Vec<Lang>,
    pub thresholds: Thresholds,
}

/// A document after normalisation.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Normalised {
    pub text: String,
    /// The first character that NFKC changed, and its replacement.
    pub nfkc: Option<(String, String)>,
    pub replaced: Replaced,
    /// Names of the invisible characters of a text that has no others.
    pub invisible: Vec<String>,
    /// Reason to drop it, with the value of the rule.
    pub verdict: Option<(Reason, Option<f64>)>,
}

/// Number of characters that language detection reads; more do not change the answer.
const LANGUAGE_CHARS: usize = 4000;

impl Rules {
    /// Normalises a text and judges it on its own.
    pub fn apply(&self, original: &str) -> Normalised {
        let mut result = self.normalise(original);
        if result.text.trim().is_empty() {
            result.invisible = invisible::names_in([original]);
        }
        result.verdict = self.verdict(&result.text);
        result
    }

    fn verdict(&self, text: &str) -> Option<(Reason, Option<f64>)> {
        if text.trim().is_empty() {
            return Some((Reason::Empty, None));
        }
        let chars = text.chars().count() as u64;
        if chars < self.min_chars {
            return Some((Reason::TooShort, Some(chars as f64)));
        }
        if self.max_chars.is_some_and(|most| chars > most) {
            return Some((Reason::TooLong, Some(chars as f64)));
        }
        if !self.speaks_wanted_language(text) {
            return Some((Reason::Language, None));
        }
        let broken = self.thresholds.broken_by(text)?;
        Some((Reason::Quality(broken.rule), Some(broken.value)))
    }

    fn normalise(&self, text: &str) -> Normalised {
        let mut result = Normalised::default();
        let mut text = Cow::Borrowed(text);
        if self.strip_markup {
            text = Cow::Owned(markup::strip_markup(&text));
        }
        if self.strip_urls {
            text = Cow::Owned(markup::strip_urls(&text));
        }
        if self.nfkc && !text.is_ascii() && is_nfkc_quick(text.chars()) != IsNormalized::Yes {
            let composed: String = text.nfkc().collect();
            if composed != text.as_ref() {
                result.nfkc = Some(first_change(&text));
                text = Cow::Owned(composed);
            }
        }
        result.text =
            if may_have_control_characters(&text) { without_control_characters(&text) } else { text.into_owned() };
        if let Some((text, replaced)) = pii::replace(&result.text, &self.pii) {
            (result.text, result.replaced) = (text, replaced);
        }
        result
    }

    fn speaks_wanted_language(&self, text: &str) -> bool {
        if self.languages.is_empty() {
            return true;
        }
        let end = text.char_indices().nth(LANGUAGE_CHARS).map_or(text.len(), |(at, _)| at);
        whatlang::detect_lang(&text[..end]).is_some_and(|language| self.languages.contains(&language))
    }
}

/// The first character that NFKC changes on its own, and its replacement; empty if only a sequence changes.
fn first_change(text: &str) -> (String, String) {
    let changed = |c: &char| is_nfkc_quick(std::iter::once(*c)) == IsNormalized::No;
    let first = text.chars().find(changed);
    first.map(|c| (c.to_string(), std::iter::once(c).nfkc().collect())).unwrap_or_default()
}

/// False for text that [`without_control_characters`] certainly leaves as it is. Only looks at bytes: the first bytes of
/// U+0080 to U+00BF, U+2000 to U+2FFF and U+F000 to U+FFFF stand for all characters beyond ASCII that it changes.
fn may_have_control_characters(text: &str) -> bool {
    text.bytes().any(|byte| matches!(byte, 0..=0x08 | 0x0B..=0x1F | 0x7F | 0xC2 | 0xE2 | 0xEF))
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
