//! Words with their features and forms.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::words;

pub type Word = &'static str;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Number {
    Singular,
    Plural,
}

impl Number {
    pub fn other(self) -> Number {
        match self {
            Number::Singular => Number::Plural,
            Number::Plural => Number::Singular,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// A person with a name; never plural.
    Name,
    Human,
    Animal,
    Thing,
    Place,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gender {
    Male,
    Female,
    /// A person of either gender.
    Open,
    Neuter,
}

#[derive(Debug)]
pub struct Noun {
    pub singular: String,
    pub plural: String,
    pub class: Class,
    pub gender: Gender,
}

impl Noun {
    pub fn form(&'static self, number: Number) -> Word {
        match number {
            Number::Singular => &self.singular,
            Number::Plural => &self.plural,
        }
    }

    /// False for the singular of a noun of either gender, such as `the nurse`.
    pub fn has_pronoun(&self, number: Number) -> bool {
        number == Number::Plural || self.gender != Gender::Open
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VerbClass {
    Acting,
    Social,
    Sensing,
    Handling,
    Happening,
    Moving,
    Saying,
}

#[derive(Debug)]
pub struct Verb {
    pub base: String,
    pub third: String,
    pub past: String,
    pub class: VerbClass,
    pub reflexive: bool,
}

/// The word that a form belongs to, as an index into `nouns` or `verbs`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lemma {
    Noun(usize),
    Verb(usize),
}

pub struct Lexicon {
    pub nouns: Vec<Noun>,
    pub verbs: Vec<Verb>,
    pub living_adjectives: Vec<Word>,
    pub thing_adjectives: Vec<Word>,
    pub place_adjectives: Vec<Word>,
    pub adverbs: Vec<Word>,
    pub prepositions: Vec<Word>,
    /// Maps every form of a noun or verb, in lower case, to its lemma.
    lemmas: HashMap<String, Lemma>,
}

pub static LEXICON: LazyLock<Lexicon> = LazyLock::new(Lexicon::build);

impl Lexicon {
    fn build() -> Lexicon {
        let mut nouns = Vec::new();
        for (list, class, gender) in [
            (words::MALE_NAMES, Class::Name, Gender::Male),
            (words::FEMALE_NAMES, Class::Name, Gender::Female),
            (words::MEN, Class::Human, Gender::Male),
            (words::WOMEN, Class::Human, Gender::Female),
            (words::PEOPLE, Class::Human, Gender::Open),
            (words::ANIMALS, Class::Animal, Gender::Neuter),
            (words::THINGS, Class::Thing, Gender::Neuter),
            (words::PLACES, Class::Place, Gender::Neuter),
        ] {
            nouns.extend(list.split_whitespace().map(|entry| noun(entry, class, gender)));
        }
        let mut verbs = Vec::new();
        for (list, class) in [
            (words::ACTING, VerbClass::Acting),
            (words::SOCIAL, VerbClass::Social),
            (words::SENSING, VerbClass::Sensing),
            (words::HANDLING, VerbClass::Handling),
            (words::HAPPENING, VerbClass::Happening),
            (words::MOVING, VerbClass::Moving),
            (words::SAYING, VerbClass::Saying),
        ] {
            verbs.extend(list.split_whitespace().map(|entry| verb(entry, class)));
        }
        let mut lemmas = HashMap::new();
        for (index, noun) in nouns.iter().enumerate() {
            lemmas.insert(noun.singular.to_lowercase(), Lemma::Noun(index));
            lemmas.insert(noun.plural.to_lowercase(), Lemma::Noun(index));
        }
        for (index, verb) in verbs.iter().enumerate() {
            for form in [&verb.base, &verb.third, &verb.past] {
                lemmas.insert(form.clone(), Lemma::Verb(index));
            }
        }
        Lexicon {
            nouns,
            verbs,
            living_adjectives: list(words::LIVING_ADJECTIVES),
            thing_adjectives: list(words::THING_ADJECTIVES),
            place_adjectives: list(words::PLACE_ADJECTIVES),
            adverbs: list(words::ADVERBS),
            prepositions: list(words::PREPOSITIONS),
            lemmas,
        }
    }

    pub fn lemma(&self, word: &str) -> Option<Lemma> {
        self.lemmas.get(word).or_else(|| self.lemmas.get(&word.to_lowercase())).copied()
    }

    /// Indices of the nouns that satisfy a condition.
    pub fn nouns_where(&self, condition: impl Fn(&Noun) -> bool) -> Vec<usize> {
        (0..self.nouns.len()).filter(|index| condition(&self.nouns[*index])).collect()
    }

    /// Indices of the verbs of the given classes.
    pub fn verbs_of(&self, classes: &[VerbClass]) -> Vec<usize> {
        (0..self.verbs.len()).filter(|index| classes.contains(&self.verbs[*index].class)).collect()
    }

    pub fn adjectives(&self, class: Class) -> &[Word] {
        match class {
            Class::Name | Class::Human | Class::Animal => &self.living_adjectives,
            Class::Thing => &self.thing_adjectives,
            Class::Place => &self.place_adjectives,
        }
    }
}

fn list(words: Word) -> Vec<Word> {
    words.split_whitespace().collect()
}

fn noun(entry: &str, class: Class, gender: Gender) -> Noun {
    let (singular, plural) = match entry.split_once('/') {
        Some((singular, plural)) => (singular, plural.to_owned()),
        None if class == Class::Name => (entry, entry.to_owned()),
        None => (entry, with_s(entry)),
    };
    Noun { singular: singular.to_owned(), plural, class, gender }
}

fn verb(entry: &str, class: VerbClass) -> Verb {
    let (base, past) = match entry.split_once('/') {
        Some((base, past)) => (base, past.to_owned()),
        None => (entry, with_ed(entry)),
    };
    let reflexive = words::REFLEXIVE.split_whitespace().any(|word| word == base);
    Verb { base: base.to_owned(), third: with_s(base), past, class, reflexive }
}

/// Plural of a noun, third person of a verb.
fn with_s(word: &str) -> String {
    if ["s", "x", "z", "ch", "sh", "o"].iter().any(|end| word.ends_with(end)) {
        format!("{word}es")
    } else if let Some(stem) = consonant_y(word) {
        format!("{stem}ies")
    } else {
        format!("{word}s")
    }
}

fn with_ed(word: &str) -> String {
    if word.ends_with('e') {
        format!("{word}d")
    } else if let Some(stem) = consonant_y(word) {
        format!("{stem}ied")
    } else {
        format!("{word}ed")
    }
}

fn consonant_y(word: &str) -> Option<&str> {
    word.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'i', 'o', 'u']))
}
