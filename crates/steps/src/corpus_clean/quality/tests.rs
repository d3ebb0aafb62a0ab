//! Tests every measure on texts small enough to count by hand.

use std::collections::BTreeMap;

use super::measure::Measures;
use super::page::Page;
use super::rules::{Measure, Preset, RULES};
use super::set::Thresholds;

#[track_caller]
fn check(text: &str, measure: Measure, expected: f64) {
    let page = Page::new(text);
    let value = Measures::new(&page).of(measure);
    assert!((value - expected).abs() < 1e-12, "{measure:?} of {text:?} is {value}");
}

#[test]
fn words_and_marks_are_counted() {
    check("one two  three\nfour", Measure::Words, 4.0);
    check("ab abcd \u{e9}\u{e9}", Measure::MeanWordChars, 8.0 / 3.0);
    check("# a #b c##", Measure::HashesPerWord, 1.0);
    check("a... b\u{2026} c d", Measure::EllipsesPerWord, 0.5);
    check("a1 2 3! four", Measure::AlphabeticWords, 0.5);
    check("The cat, and the dog (with) THAT.", Measure::StopWords, 4.0);
    check("Yes. No! \"Why?\" 3.5 e.g. so", Measure::Sentences, 4.0);
    check("Lorem ipsum, lorem Ipsum", Measure::LoremIpsum, 2.0);
    check("a { b {", Measure::CurlyBrackets, 2.0);
    check("", Measure::MeanWordChars, 0.0);
}

#[test]
fn lines_and_paragraphs_are_counted() {
    check("- a\n\u{2022} b\n  * c\nd", Measure::BulletLines, 0.75);
    check("a...\nb\u{2026}\n\nc\nd ", Measure::EllipsisLines, 0.5);
    check("a.\nb\n\nc!\nd\"", Measure::PunctuatedLines, 0.75);
    check(&format!("short\n{}", "x".repeat(30)), Measure::ShortLines, 0.5);
    check("aa\nb\naa\n\naa", Measure::DuplicateLines, 0.5);
    check("aa\nb\naa\n\naa", Measure::DuplicateLineChars, 4.0 / 7.0);
    check("a\nb\n\nc\n\n\na\nb\n", Measure::DuplicateParagraphs, 1.0 / 3.0);
    check("a\nb\n\nc\n\n\na\nb\n", Measure::DuplicateParagraphChars, 3.0 / 7.0);
}

#[test]
fn repeated_sequences_of_words_are_measured_in_characters() {
    // "a bb" occurs three times: 9 of 15 characters.
    check("a bb ccc a bb ddd a bb", Measure::TopGram(2), 9.0 / 15.0);
    check("a bb ccc ddd", Measure::TopGram(2), 0.0);
    check("a", Measure::TopGram(2), 0.0);
    // The second "a b c d e" is counted once, although "b c d e f" follows it.
    check("a b c d e f a b c d e f", Measure::DuplicateGrams(5), 5.0 / 12.0);
    check("a b c d e f g h", Measure::DuplicateGrams(5), 0.0);
    check(&"z ".repeat(20), Measure::DuplicateGrams(10), 0.5);
}

#[test]
fn presets_give_thresholds_and_single_ones_replace_them() {
    let thresholds = |presets: &[Preset], named: &[(&str, f64)]| {
        let named: BTreeMap<String, f64> = named.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        Thresholds::new(presets, &named).unwrap()
    };
    let value =
        |set: &Thresholds, name: &str| set.rules().find(|(_, rule, _)| rule.name == name).map(|(.., value)| value);
    let both = thresholds(&[Preset::GopherRepetition, Preset::Fineweb], &[]);
    assert_eq!(value(&both, "max_duplicate_line_chars"), Some(0.1));
    assert_eq!(value(&both, "min_words"), None);
    let changed = thresholds(&[Preset::Gopher], &[("min_words", 5.0), ("max_short_lines", 0.5)]);
    assert_eq!((value(&changed, "min_words"), value(&changed, "max_short_lines")), (Some(5.0), Some(0.5)));
    assert_eq!(value(&changed, "max_words"), Some(100_000.0));
    assert_eq!(
        changed.broken_by("one two three four five").map(|broken| RULES[usize::from(broken.rule)].name),
        Some("min_stop_words")
    );
    assert_eq!(thresholds(&[], &[]).broken_by("x"), None);
}

/// The number of rules of each preset, so that none is lost.
#[test]
fn presets_have_all_their_rules() {
    let count = |preset| RULES.iter().filter(|rule| rule.presets.iter().any(|(other, _)| *other == preset)).count();
    assert_eq!([Preset::Gopher, Preset::GopherRepetition, Preset::Fineweb, Preset::C4].map(count), [10, 13, 3, 3]);
}
