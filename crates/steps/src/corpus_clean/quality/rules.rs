//! The rules: one line each, with the threshold of every published filter that has it.

/// A published filter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Quality filter of MassiveText (Rae et al. 2021, "Scaling Language Models", appendix A.1.1).
    Gopher,
    /// Repetition filter of MassiveText (same paper, table A1).
    GopherRepetition,
    /// The three filters that FineWeb adds (Penedo et al. 2024, section 3.6).
    Fineweb,
    /// Filters of C4 on whole pages (Raffel et al. 2020, section 2.2).
    C4,
}

/// What a rule measures. Words are what stands between white space; lines and paragraphs have visible text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Measure {
    Words,
    /// Characters per word.
    MeanWordChars,
    HashesPerWord,
    /// `...` and the ellipsis character.
    EllipsesPerWord,
    BulletLines,
    EllipsisLines,
    /// Words with a letter.
    AlphabeticWords,
    /// Different words among the eight of Gopher.
    StopWords,
    DuplicateLines,
    DuplicateParagraphs,
    DuplicateLineChars,
    DuplicateParagraphChars,
    TopGram(u8),
    DuplicateGrams(u8),
    PunctuatedLines,
    ShortLines,
    LoremIpsum,
    CurlyBrackets,
    Sentences,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bound {
    AtLeast,
    AtMost,
}

impl Bound {
    pub fn holds(self, value: f64, threshold: f64) -> bool {
        match self {
            Bound::AtLeast => value >= threshold,
            Bound::AtMost => value <= threshold,
        }
    }

    /// The threshold that fewer values meet.
    pub fn stricter(self, one: f64, other: f64) -> f64 {
        match self {
            Bound::AtLeast => one.max(other),
            Bound::AtMost => one.min(other),
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Bound::AtLeast => "at least",
            Bound::AtMost => "at most",
        }
    }
}

/// One rule. A document that breaks it is dropped.
#[derive(Debug)]
pub struct Rule {
    /// Name of the threshold, and of the reason.
    pub name: &'static str,
    pub measure: Measure,
    pub bound: Bound,
    /// Presets that have the rule, with their threshold.
    pub presets: &'static [(Preset, f64)],
    pub about: &'static str,
}

const fn at_least(
    name: &'static str,
    measure: Measure,
    presets: &'static [(Preset, f64)],
    about: &'static str,
) -> Rule {
    Rule { name, measure, bound: Bound::AtLeast, presets, about }
}

const fn at_most(name: &'static str, measure: Measure, presets: &'static [(Preset, f64)], about: &'static str) -> Rule {
    Rule { name, measure, bound: Bound::AtMost, presets, about }
}

use Preset::{C4, Fineweb, Gopher, GopherRepetition};

/// All rules, in the order in which they are tried: cheap ones first.
pub static RULES: [Rule; 28] = [
    at_least("min_words", Measure::Words, &[(Gopher, 50.0)], "words"),
    at_most("max_words", Measure::Words, &[(Gopher, 100_000.0)], "words"),
    at_least("min_mean_word_chars", Measure::MeanWordChars, &[(Gopher, 3.0)], "characters per word"),
    at_most("max_mean_word_chars", Measure::MeanWordChars, &[(Gopher, 10.0)], "characters per word"),
    at_most("max_hashes_per_word", Measure::HashesPerWord, &[(Gopher, 0.1)], "hash signs per word"),
    at_most("max_ellipses_per_word", Measure::EllipsesPerWord, &[(Gopher, 0.1)], "ellipses per word"),
    at_most("max_bullet_lines", Measure::BulletLines, &[(Gopher, 0.9)], "share of lines that start with a bullet"),
    at_most("max_ellipsis_lines", Measure::EllipsisLines, &[(Gopher, 0.3)], "share of lines that end with an ellipsis"),
    at_least("min_alphabetic_words", Measure::AlphabeticWords, &[(Gopher, 0.8)], "share of words with a letter"),
    at_least(
        "min_stop_words",
        Measure::StopWords,
        &[(Gopher, 2.0)],
        "different words among the, be, to, of, and, that, have, with",
    ),
    at_least("min_sentences", Measure::Sentences, &[(C4, 5.0)], "sentences, counted by their end marks"),
    at_most("max_lorem_ipsum", Measure::LoremIpsum, &[(C4, 0.0)], "occurrences of `lorem ipsum`"),
    at_most("max_curly_brackets", Measure::CurlyBrackets, &[(C4, 0.0)], "occurrences of `{`"),
    at_least(
        "min_punctuated_lines",
        Measure::PunctuatedLines,
        &[(Fineweb, 0.12)],
        "share of lines that end with a punctuation mark",
    ),
    at_most("max_short_lines", Measure::ShortLines, &[(Fineweb, 0.67)], "share of lines shorter than 30 characters"),
    at_most(
        "max_duplicate_line_chars",
        Measure::DuplicateLineChars,
        &[(GopherRepetition, 0.2), (Fineweb, 0.1)],
        "share of characters in lines that occurred before",
    ),
    at_most(
        "max_duplicate_lines",
        Measure::DuplicateLines,
        &[(GopherRepetition, 0.3)],
        "share of lines that occurred before",
    ),
    at_most(
        "max_duplicate_paragraphs",
        Measure::DuplicateParagraphs,
        &[(GopherRepetition, 0.3)],
        "share of paragraphs that occurred before",
    ),
    at_most(
        "max_duplicate_paragraph_chars",
        Measure::DuplicateParagraphChars,
        &[(GopherRepetition, 0.2)],
        "share of characters in paragraphs that occurred before",
    ),
    at_most("max_top_2_gram", Measure::TopGram(2), &[(GopherRepetition, 0.2)], TOP),
    at_most("max_top_3_gram", Measure::TopGram(3), &[(GopherRepetition, 0.18)], TOP),
    at_most("max_top_4_gram", Measure::TopGram(4), &[(GopherRepetition, 0.16)], TOP),
    at_most("max_duplicate_5_grams", Measure::DuplicateGrams(5), &[(GopherRepetition, 0.15)], DUPLICATE),
    at_most("max_duplicate_6_grams", Measure::DuplicateGrams(6), &[(GopherRepetition, 0.14)], DUPLICATE),
    at_most("max_duplicate_7_grams", Measure::DuplicateGrams(7), &[(GopherRepetition, 0.13)], DUPLICATE),
    at_most("max_duplicate_8_grams", Measure::DuplicateGrams(8), &[(GopherRepetition, 0.12)], DUPLICATE),
    at_most("max_duplicate_9_grams", Measure::DuplicateGrams(9), &[(GopherRepetition, 0.11)], DUPLICATE),
    at_most("max_duplicate_10_grams", Measure::DuplicateGrams(10), &[(GopherRepetition, 0.1)], DUPLICATE),
];

const TOP: &str = "share of characters in the most frequent word n-gram";
const DUPLICATE: &str = "share of characters in word n-grams that occurred before";

/// The rule at a position of the table.
pub fn rule(at: u8) -> &'static Rule {
    &RULES[usize::from(at)]
}
