//! Properties of the grammar: documents and pairs agree, chance is 50 %, no held-out combination leaks.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::corpus::Grammar;
use super::held_out::{self, Construction};
use super::lexicon::{Class, LEXICON, Lemma};
use super::pairs::MinimalPair;
use super::words;
use crate::evaluation::scoring::Order;
use crate::trigram::Trigram;

fn documents(count: u64) -> Vec<String> {
    let grammar = Grammar::new(1);
    (0..count).map(|index| grammar.document(index)).collect()
}

/// Splits text into words and punctuation, in lower case except for names.
fn tokens(text: &str) -> Vec<String> {
    let spaced = text.replace('.', " .").replace(',', " ,").replace('?', " ?");
    let known =
        |word: &str| matches!(LEXICON.lemma(word), Some(Lemma::Noun(n)) if LEXICON.nouns[n].class == Class::Name);
    spaced.split_whitespace().map(|word| if known(word) { word.to_owned() } else { word.to_lowercase() }).collect()
}

fn sentences(document: &str) -> Vec<Vec<String>> {
    let all = tokens(document);
    all.split_inclusive(|word| word == "." || word == "?").map(<[String]>::to_vec).collect()
}

fn differing(pair: &MinimalPair) -> Vec<(String, String)> {
    let (good, bad) = (tokens(&pair.good), tokens(&pair.bad));
    assert_eq!(good.len(), bad.len(), "{pair:?}");
    good.into_iter().zip(bad).filter(|(a, b)| a != b).collect()
}

#[test]
fn forms_are_unique() {
    let mut forms: HashMap<String, String> = HashMap::new();
    let mut add = |form: &str, lemma: &str| {
        let other = forms.insert(form.to_lowercase(), lemma.to_owned());
        assert!(other.is_none_or(|other| other == lemma), "`{form}` belongs to two words");
    };
    for noun in &LEXICON.nouns {
        assert!(noun.class == Class::Name || noun.singular != noun.plural);
        add(&noun.singular, &noun.singular);
        add(&noun.plural, &noun.singular);
    }
    for verb in &LEXICON.verbs {
        assert_ne!(verb.base, verb.past);
        let lemma = format!("to {}", verb.base);
        add(&verb.base, &lemma);
        add(&verb.third, &lemma);
        add(&verb.past, &lemma);
    }
    for adjective in [words::LIVING_ADJECTIVES, words::THING_ADJECTIVES, words::ADVERBS, words::PREPOSITIONS] {
        let words: HashSet<&str> = adjective.split_whitespace().collect();
        words.into_iter().for_each(|word| assert!(LEXICON.lemma(word).is_none(), "`{word}` is a noun or verb, too"));
    }
    for verb in words::REFLEXIVE.split_whitespace() {
        assert!(LEXICON.verbs.iter().any(|known| known.base == verb && known.reflexive), "`{verb}` is no verb");
    }
    let common = LEXICON.nouns.iter().filter(|noun| noun.class != Class::Name).count();
    assert!(common >= 200, "{common} nouns");
    assert!(LEXICON.verbs.len() >= 120, "{} verbs", LEXICON.verbs.len());
}

#[test]
fn documents_are_deterministic_and_differ() {
    let first = documents(20);
    assert_eq!(first, documents(20));
    assert_eq!(first.iter().collect::<HashSet<_>>().len(), 20);
    assert_ne!(first[0], Grammar::new(2).document(0));
    assert_eq!(Grammar::new(1).minimal_pairs(), Grammar::new(1).minimal_pairs());
}

#[test]
fn documents_have_8_to_30_sentences_and_the_corpus_3_to_5_megabytes() {
    let documents = documents(400);
    for document in &documents {
        let count = sentences(document).len();
        assert!((8..=30).contains(&count), "{count} sentences");
    }
    let bytes: usize = documents.iter().map(String::len).sum();
    println!("{} bytes a document; first document:\n{}\n", bytes / 400, documents[0]);
    assert!((750..=1250).contains(&(bytes / 400)), "{} bytes a document", bytes / 400);
}

/// Reimplements the rules of the specification, without the code that keeps documents clean.
#[test]
fn nothing_held_out_leaks_into_documents() {
    let prepositions: HashSet<&str> = words::PREPOSITIONS.split_whitespace().collect();
    let adjectives: HashSet<&str> = [words::LIVING_ADJECTIVES, words::THING_ADJECTIVES, words::PLACE_ADJECTIVES]
        .iter()
        .flat_map(|list| list.split_whitespace())
        .collect();
    let determiners = ["this", "a", "an", "every", "these", "those", "many", "several", "two", "some"];
    for document in documents(600) {
        for sentence in sentences(&document) {
            let words: Vec<&str> = sentence.iter().map(String::as_str).collect();
            for (at, word) in words.iter().enumerate() {
                let Some(Lemma::Noun(noun)) = LEXICON.lemma(word) else { continue };
                let mut forbidden = Vec::new();
                let next = words.get(at + 1).copied().unwrap_or("");
                if prepositions.contains(next) {
                    forbidden.push(Construction::Prepositional);
                }
                if next == "that" {
                    forbidden.push(Construction::Relative);
                }
                for (construction, marks) in [
                    (Construction::Coordination, &["and"][..]),
                    (Construction::Reflexive, &["himself", "herself", "itself", "themselves"][..]),
                    (Construction::Question, &["?"][..]),
                    (Construction::Polarity, &["too", "either", "already", "yet"][..]),
                ] {
                    if words.iter().any(|word| marks.contains(word)) {
                        forbidden.push(construction);
                    }
                }
                let before = words[..at].iter().rev().find(|word| !adjectives.contains(**word));
                if before.is_some_and(|word| determiners.contains(word)) {
                    forbidden.push(Construction::Determiner);
                }
                for construction in forbidden {
                    assert!(!held_out::from_construction(noun, construction), "{word}, {construction:?}: {words:?}");
                }
                for other in &words {
                    if let Some(Lemma::Verb(verb)) = LEXICON.lemma(other) {
                        assert!(!held_out::from_verb(noun, verb), "{word} with {other}: {words:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn every_word_of_the_pairs_occurs_in_documents() {
    let seen: HashSet<String> = documents(1500).iter().flat_map(|document| tokens(document)).collect();
    let wanted: BTreeSet<String> = Grammar::new(1)
        .minimal_pairs()
        .iter()
        .flat_map(|pair| [tokens(&pair.good), tokens(&pair.bad)].concat())
        .collect();
    let missing: Vec<&String> = wanted.iter().filter(|word| !seen.contains(*word)).collect();
    println!("{} different words in documents, {} in pairs", seen.len(), wanted.len());
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn pairs_differ_in_one_word_and_rest_on_something_held_out() {
    let pairs = Grammar::new(1).minimal_pairs();
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    let mut seen = HashSet::new();
    for pair in &pairs {
        *counts.entry(&pair.phenomenon).or_default() += 1;
        assert_eq!(differing(pair).len(), 1, "{pair:?}");
        assert!(seen.insert(&pair.good), "twice: {pair:?}");
        let words = tokens(&pair.good);
        let words: Vec<&'static str> = words.iter().map(|word| &*word.clone().leak()).collect();
        assert!(held_out::leaks(&words), "could be in a document: {pair:?}");
    }
    for (phenomenon, count) in &counts {
        println!("{phenomenon:26} {count}");
        assert_eq!(*count, 100, "{phenomenon}");
    }
    assert!(counts.len() >= 8);
}

/// A model that always prefers one form is right in half of each phenomenon.
#[test]
fn chance_is_one_half_whatever_the_bias() {
    let plural = |word: &str| {
        matches!(word, "are" | "were" | "do" | "they" | "themselves")
            || LEXICON.nouns.iter().any(|noun| noun.class != Class::Name && noun.plural == word)
            || LEXICON.verbs.iter().any(|verb| verb.base == word)
    };
    let mut by_phenomenon: BTreeMap<String, (u32, u32, u32)> = BTreeMap::new();
    for pair in Grammar::new(1).minimal_pairs() {
        let (good, bad) = differing(&pair).remove(0);
        let entry = by_phenomenon.entry(pair.phenomenon).or_default();
        entry.0 += u32::from(plural(&good) && !plural(&bad));
        entry.1 += u32::from(plural(&bad) && !plural(&good));
        entry.2 += u32::from(good < bad);
    }
    for (phenomenon, (right, wrong, alphabetical)) in by_phenomenon {
        println!("{phenomenon:26} plural good {right:3} bad {wrong:3}; good first in the alphabet {alphabetical:3}");
        if phenomenon.starts_with("agreement") || phenomenon == "determiner_noun" || phenomenon == "reflexive_number" {
            assert!(right.abs_diff(wrong) <= 4, "{phenomenon}: {right} and {wrong}");
        }
        assert!((35..=65).contains(&alphabetical), "{phenomenon}: {alphabetical}");
    }
}

#[test]
fn a_trigram_model_is_above_chance_and_far_from_perfect() {
    let mut ids: HashMap<String, u32> = HashMap::from([("<bos>".to_owned(), 0), ("<eos>".to_owned(), 1)]);
    let mut encode = |text: &str| {
        let mut out = vec![0];
        for word in tokens(text) {
            let next = ids.len() as u32;
            out.push(*ids.entry(word).or_insert(next));
        }
        out.push(1);
        out
    };
    let encoded: Vec<Vec<u32>> = documents(1500).iter().map(|document| encode(document)).collect();
    let mut model = Trigram::new(1200);
    encoded.iter().for_each(|document| model.train(document));
    let mut right: BTreeMap<String, u32> = BTreeMap::new();
    let pairs = Grammar::new(1).minimal_pairs();
    for pair in &pairs {
        let (mut good, mut bad) = (encode(&pair.good), encode(&pair.bad));
        good.pop();
        bad.pop();
        let nats = |tokens: &[u32]| Order::Trigram.nats(&model, tokens, 1);
        *right.entry(pair.phenomenon.clone()).or_default() += u32::from(nats(&good) < nats(&bad));
    }
    let total: u32 = right.values().sum();
    for (phenomenon, right) in &right {
        println!("{phenomenon:26} {right} %");
    }
    let accuracy = f64::from(total) / pairs.len() as f64;
    println!("trigram accuracy {accuracy:.3} over {} pairs", pairs.len());
    assert!((0.5..=0.85).contains(&accuracy), "{accuracy}");
}
