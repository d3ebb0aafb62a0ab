//! Computes what the rules measure.

use std::collections::BTreeSet;

use super::counts::Counts;
use super::grams::Grams;
use super::page::{Page, share};
use super::rules::Measure;
use crate::corpus_clean::hashing::hash64;

/// Gopher's words: a text in English has at least two of them.
const STOP_WORDS: [&str; 8] = ["the", "be", "to", "of", "and", "that", "have", "with"];

/// Lines of fewer characters are short (FineWeb, section 3.6).
const SHORT_LINE: usize = 30;

/// Measures of one page; those that several rules need are computed once.
pub struct Measures<'a> {
    page: &'a Page<'a>,
    counts: Counts,
    grams: Option<Grams>,
}

impl<'a> Measures<'a> {
    pub fn new(page: &'a Page<'a>) -> Self {
        Measures { page, counts: Counts::default(), grams: None }
    }

    pub fn of(&mut self, measure: Measure) -> f64 {
        let page = self.page;
        let (words, lines) = (page.words.len() as u64, &page.lines);
        let lines_that = |test: &dyn Fn(&str) -> bool| {
            share(lines.iter().filter(|line| test(line)).count() as u64, lines.len() as u64)
        };
        match measure {
            Measure::Words => words as f64,
            Measure::MeanWordChars => share(page.word_chars, words),
            Measure::HashesPerWord => share(page.text.matches('#').count() as u64, words),
            Measure::EllipsesPerWord => {
                share((page.text.matches("...").count() + page.text.matches('\u{2026}').count()) as u64, words)
            }
            Measure::BulletLines => lines_that(&|line| line.trim_start().starts_with(['\u{2022}', '-', '*'])),
            Measure::EllipsisLines => {
                lines_that(&|line| line.trim_end().ends_with("...") || line.trim_end().ends_with('\u{2026}'))
            }
            Measure::AlphabeticWords => {
                let with_letter = page.words.iter().filter(|word| word.text.chars().any(char::is_alphabetic));
                share(with_letter.count() as u64, words)
            }
            Measure::StopWords => stop_words(page) as f64,
            Measure::DuplicateLines => self.duplicates(lines).0,
            Measure::DuplicateLineChars => self.duplicates(lines).1,
            Measure::DuplicateParagraphs => self.duplicates(&page.paragraphs()).0,
            Measure::DuplicateParagraphChars => self.duplicates(&page.paragraphs()).1,
            Measure::TopGram(n) => {
                let grams = self.grams.get_or_insert_with(|| Grams::new(page));
                grams.top(usize::from(n), &mut self.counts)
            }
            Measure::DuplicateGrams(n) => {
                let grams = self.grams.get_or_insert_with(|| Grams::new(page));
                grams.duplicate(usize::from(n), &mut self.counts)
            }
            Measure::PunctuatedLines => lines_that(&|line| ends_sentence(line.trim_end())),
            Measure::ShortLines => lines_that(&|line| line.chars().take(SHORT_LINE).count() < SHORT_LINE),
            Measure::LoremIpsum => page.text.to_lowercase().matches("lorem ipsum").count() as f64,
            Measure::CurlyBrackets => page.text.matches('{').count() as f64,
            Measure::Sentences => sentences(page.text) as f64,
        }
    }

    /// Share of the parts that occurred before, and of the characters in them.
    fn duplicates(&mut self, parts: &[&str]) -> (f64, f64) {
        self.counts.clear(parts.len());
        let (mut repeated, mut repeated_chars, mut chars) = (0, 0, 0);
        for part in parts {
            let part = part.trim();
            let length = part.chars().count() as u64;
            chars += length;
            if self.counts.add(hash64(part.as_bytes())) > 1 {
                repeated += 1;
                repeated_chars += length;
            }
        }
        (share(repeated, parts.len() as u64), share(repeated_chars, chars))
    }
}

fn stop_words(page: &Page<'_>) -> usize {
    let mut found = BTreeSet::new();
    for word in &page.words {
        let word = word.text.trim_matches(|c: char| !c.is_alphanumeric());
        found.extend(STOP_WORDS.iter().position(|stop| word.eq_ignore_ascii_case(stop)));
        if found.len() == STOP_WORDS.len() {
            break;
        }
    }
    found.len()
}

/// True after a mark that ends a sentence, or a closing quotation mark.
fn ends_sentence(line: &str) -> bool {
    line.ends_with([
        '.', '!', '?', '"', '\'', '\u{201D}', '\u{2019}', '\u{BB}', '\u{2026}', '\u{3002}', '\u{FF01}', '\u{FF1F}',
        '\u{300D}', '\u{61F}', '\u{964}',
    ])
}

/// Counts runs of end marks before white space or the end; in scripts without spaces, each mark.
fn sentences(text: &str) -> usize {
    let mut count = 0;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let is_wide = matches!(c, '\u{3002}' | '\u{FF01}' | '\u{FF1F}' | '\u{964}');
        let is_mark = matches!(c, '.' | '!' | '?' | '\u{2026}' | '\u{61F}');
        let closes =
            |c: &char| c.is_whitespace() || matches!(c, '"' | '\'' | ')' | ']' | '\u{201D}' | '\u{2019}' | '\u{BB}');
        if is_wide || is_mark && chars.peek().is_none_or(closes) {
            count += 1;
        }
    }
    count
}
