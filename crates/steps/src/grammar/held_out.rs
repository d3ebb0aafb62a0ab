//! Combinations that no document contains and that the minimal pairs test: some nouns never stand in some
//! constructions, and some nouns never share a sentence with some verbs. The choice is fixed and the same for every
//! seed.

use std::sync::LazyLock;

use super::lexicon::{LEXICON, Lemma, Word};
use super::words;
use stepwell_base::rng::derive_seed;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Construction {
    /// The noun is directly followed by a preposition.
    Prepositional,
    /// The noun is directly followed by `that`.
    Relative,
    /// The noun shares a sentence with `and`.
    Coordination,
    /// The noun shares a sentence with a reflexive pronoun.
    Reflexive,
    /// The noun follows a determiner that shows number, with or without adjectives in between.
    Determiner,
    /// The sentence is a question or ends in a question tag.
    Question,
    /// The noun shares a sentence with `too`, `either`, `already` or `yet`.
    Polarity,
}

const CONSTRUCTIONS: [Construction; 7] = [
    Construction::Prepositional,
    Construction::Relative,
    Construction::Coordination,
    Construction::Reflexive,
    Construction::Determiner,
    Construction::Question,
    Construction::Polarity,
];

/// One noun in `NOUN_RATE` is held out of a construction; one verb in `VERB_RATE` is held out of a noun's
/// sentences.
const NOUN_RATE: u64 = 6;
const VERB_RATE: u64 = 14;

pub const REFLEXIVES: [Word; 4] = ["himself", "herself", "itself", "themselves"];
pub const POLARITY_ITEMS: [Word; 4] = ["too", "either", "already", "yet"];

struct Tables {
    /// Indexed by noun, then construction.
    constructions: Vec<[bool; CONSTRUCTIONS.len()]>,
    /// Indexed by noun, then verb.
    verbs: Vec<Vec<bool>>,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let constructions = LEXICON.nouns.iter().map(|noun| {
        CONSTRUCTIONS.map(|construction| {
            derive_seed(0, &format!("held-out/{}/{construction:?}", noun.singular), 0).is_multiple_of(NOUN_RATE)
        })
    });
    let verbs = LEXICON.nouns.iter().map(|noun| {
        let held_out = LEXICON.verbs.iter().map(|verb| {
            derive_seed(0, &format!("held-out/{}/{}", noun.singular, verb.base), 0).is_multiple_of(VERB_RATE)
        });
        held_out.collect()
    });
    Tables { constructions: constructions.collect(), verbs: verbs.collect() }
});

/// True when no document has the noun in the construction.
pub fn from_construction(noun: usize, construction: Construction) -> bool {
    TABLES.constructions[noun][construction as usize]
}

/// True when no sentence of a document has both the noun and the verb.
pub fn from_verb(noun: usize, verb: usize) -> bool {
    TABLES.verbs[noun][verb]
}

/// True when the sentence contains a held-out combination.
pub fn leaks(sentence: &[Word]) -> bool {
    let lemmas: Vec<Option<Lemma>> = sentence.iter().map(|word| LEXICON.lemma(word)).collect();
    let has = |words: &[Word]| sentence.iter().any(|word| words.contains(word));
    let whole_sentence = [
        (Construction::Coordination, has(&["and"])),
        (Construction::Reflexive, has(&REFLEXIVES)),
        (Construction::Question, has(&["?"])),
        (Construction::Polarity, has(&POLARITY_ITEMS)),
    ];
    let mut after_determiner = false;
    for (at, word) in sentence.iter().enumerate() {
        if is_number_determiner(word) {
            after_determiner = true;
        } else if let Some(Lemma::Noun(noun)) = lemmas[at] {
            let next = sentence.get(at + 1).copied().unwrap_or_default();
            let here = whole_sentence.into_iter().chain([
                (Construction::Prepositional, LEXICON.prepositions.contains(&next)),
                (Construction::Relative, next == "that"),
                (Construction::Determiner, after_determiner),
            ]);
            let mut verbs = lemmas.iter().filter_map(|lemma| match lemma {
                Some(Lemma::Verb(verb)) => Some(*verb),
                _ => None,
            });
            if here.into_iter().any(|(construction, used)| used && from_construction(noun, construction))
                || verbs.any(|verb| from_verb(noun, verb))
            {
                return true;
            }
            after_determiner = false;
        } else if !is_adjective(word) {
            after_determiner = false;
        }
    }
    false
}

fn is_number_determiner(word: &str) -> bool {
    word == "an" || words::SINGULAR_DETERMINERS.contains(&word) || words::PLURAL_DETERMINERS.contains(&word)
}

fn is_adjective(word: &Word) -> bool {
    LEXICON.living_adjectives.contains(word)
        || LEXICON.thing_adjectives.contains(word)
        || LEXICON.place_adjectives.contains(word)
}
