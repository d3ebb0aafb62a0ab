//! Forms of verbs, pronouns and sentences.

use super::lexicon::{Gender, LEXICON, Number, Verb, Word};
use super::words;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tense {
    Past,
    Present,
    Future,
}

impl Tense {
    /// Adverbs of time that fit the tense.
    pub fn times(self) -> &'static [Word] {
        match self {
            Tense::Past => &words::PAST_TIMES,
            Tense::Present => &words::PRESENT_TIMES,
            Tense::Future => &words::FUTURE_TIMES,
        }
    }

    /// Tense of a relative clause inside a sentence of this tense.
    pub fn inner(self) -> Tense {
        if self == Tense::Past { Tense::Past } else { Tense::Present }
    }
}

const POSSESSIVES: [Word; 4] = ["his", "her", "its", "their"];

/// A person, animal, thing or place, in the singular or plural.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entity {
    /// Index into the lexicon's nouns.
    pub noun: usize,
    pub number: Number,
}

impl Entity {
    pub fn singular(noun: usize) -> Entity {
        Entity { noun, number: Number::Singular }
    }

    pub fn word(self) -> Word {
        LEXICON.nouns[self.noun].form(self.number)
    }

    /// `he`, `she`, `it` or `they`.
    pub fn pronoun(self) -> Word {
        self.by_gender(["he", "she", "it", "they"])
    }

    pub fn reflexive(self) -> Word {
        self.by_gender(["himself", "herself", "itself", "themselves"])
    }

    pub fn possessive(self) -> Word {
        self.by_gender(POSSESSIVES)
    }

    fn by_gender(self, [male, female, neuter, plural]: [Word; 4]) -> Word {
        match (self.number, LEXICON.nouns[self.noun].gender) {
            (Number::Plural, _) => plural,
            (Number::Singular, Gender::Male) => male,
            (Number::Singular, Gender::Female) => female,
            (Number::Singular, Gender::Neuter | Gender::Open) => neuter,
        }
    }
}

pub fn present(verb: &'static Verb, number: Number) -> Word {
    match number {
        Number::Singular => &verb.third,
        Number::Plural => &verb.base,
    }
}

/// Returns `was`, `are`, `will` ...: the word that moves to the front of a question with `be`.
pub fn be(tense: Tense, number: Number) -> Word {
    match (tense, number) {
        (Tense::Past, Number::Singular) => "was",
        (Tense::Past, Number::Plural) => "were",
        (Tense::Present, Number::Singular) => "is",
        (Tense::Present, Number::Plural) => "are",
        (Tense::Future, _) => "will",
    }
}

/// `did`, `does`, `do` or `will`.
pub fn auxiliary(tense: Tense, number: Number) -> Word {
    match (tense, number) {
        (Tense::Past, _) => "did",
        (Tense::Present, Number::Singular) => "does",
        (Tense::Present, Number::Plural) => "do",
        (Tense::Future, _) => "will",
    }
}

/// The part of a sentence that states something about the subject.
#[derive(Clone, PartialEq, Debug)]
pub enum Predicate {
    Verb { verb: usize, complement: Vec<Word> },
    Be { adjective: Word },
}

impl Predicate {
    /// True for a predicate with a possessive of its subject: no other subject can have it.
    pub fn refers_to_subject(&self) -> bool {
        matches!(self, Predicate::Verb { complement, .. } if complement.iter().any(|word| POSSESSIVES.contains(word)))
    }

    /// Builds `opens the box`, `will open the box` or `is red`, with `adverb` in its place.
    pub fn affirmed(&self, tense: Tense, number: Number, adverb: Option<Word>) -> Vec<Word> {
        let mut out = Vec::new();
        match self {
            Predicate::Be { adjective } => {
                out.push(be(tense, number));
                out.extend((tense == Tense::Future).then_some("be"));
                out.extend(adverb);
                out.push(adjective);
            }
            Predicate::Verb { verb, complement } => {
                let verb = &LEXICON.verbs[*verb];
                out.extend((tense == Tense::Future).then_some("will"));
                out.extend(adverb);
                out.push(match tense {
                    Tense::Past => &verb.past,
                    Tense::Present => present(verb, number),
                    Tense::Future => &verb.base,
                });
                out.extend(complement);
            }
        }
        out
    }

    /// `does not open the box`, `is not red`.
    pub fn negated(&self, tense: Tense, number: Number) -> Vec<Word> {
        let mut out = vec![self.operator(tense, number), "not"];
        out.extend(self.after_operator(tense));
        out
    }

    /// Word before the subject of a question, also used in a question tag.
    pub fn operator(&self, tense: Tense, number: Number) -> Word {
        match self {
            Predicate::Be { .. } => be(tense, number),
            Predicate::Verb { .. } => auxiliary(tense, number),
        }
    }

    /// Words after the subject of a question.
    pub fn after_operator(&self, tense: Tense) -> Vec<Word> {
        match self {
            Predicate::Be { adjective } if tense == Tense::Future => vec!["be", adjective],
            Predicate::Be { adjective } => vec![adjective],
            Predicate::Verb { verb, complement } => {
                let mut out: Vec<Word> = vec![&LEXICON.verbs[*verb].base];
                out.extend(complement);
                out
            }
        }
    }
}

/// Turns words into text: capitalises the first, and puts no space before punctuation.
pub fn render(sentence: &[Word]) -> String {
    let mut out = String::new();
    for word in sentence {
        if out.is_empty() {
            let mut letters = word.chars();
            out.extend(letters.next().into_iter().flat_map(char::to_uppercase));
            out.push_str(letters.as_str());
        } else {
            if !matches!(*word, "." | "," | "?") {
                out.push(' ');
            }
            out.push_str(word);
        }
    }
    out
}
