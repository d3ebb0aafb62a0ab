//! Minimal pairs: two sentences that differ in one word, only one of them grammatical.
//!
//! Every pair rests on a combination held out of all documents: the noun in that construction, or the noun with
//! that verb. In each phenomenon half of the pairs go each way, so a model that always prefers plurals, or the
//! past, or `she`, is right in half of the cases.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::composer::Composer;
use super::draw::Draw;
use super::held_out::{self, Construction};
use super::lexicon::{Class, Gender, LEXICON, Noun, Number, VerbClass, Word};
use super::phrase::{Entity, be, present, render};
use super::words;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MinimalPair {
    pub phenomenon: String,
    pub good: String,
    pub bad: String,
}

/// Pairs of each phenomenon.
const PAIRS: usize = 100;

/// Makes one pair. `way` alternates between the two directions.
type Maker = fn(&mut Pairs, Way) -> Contrast;

const PHENOMENA: [(&str, Maker); 13] = [
    ("agreement_prepositional", Pairs::agreement_prepositional),
    ("agreement_relative", Pairs::agreement_relative),
    ("agreement_nested", Pairs::agreement_nested),
    ("agreement_coordination", Pairs::agreement_coordination),
    ("reflexive_gender", Pairs::reflexive_gender),
    ("reflexive_number", Pairs::reflexive_number),
    ("tense_adverb", Pairs::tense_adverb),
    ("determiner_noun", Pairs::determiner_noun),
    ("polarity_item", Pairs::polarity_item),
    ("question_form", Pairs::question_form),
    ("tag_question", Pairs::tag_question),
    ("filler_gap", Pairs::filler_gap),
    ("semantic_selection", Pairs::semantic_selection),
];

/// Makes all pairs. `draw` supplies the randomness of a phenomenon.
pub fn all(draw: impl Fn(u64) -> Draw) -> Vec<MinimalPair> {
    let mut out = Vec::with_capacity(PHENOMENA.len() * PAIRS);
    for (index, (phenomenon, make)) in PHENOMENA.iter().enumerate() {
        let mut pairs = Pairs { composer: Composer::without_cast(draw(index as u64)) };
        let mut seen = HashSet::new();
        while seen.len() < PAIRS {
            let way = if seen.len() % 2 == 0 { Way::First } else { Way::Second };
            let contrast = make(&mut pairs, way);
            let good = render(&contrast.with(contrast.good));
            if seen.insert(good.clone()) {
                let bad = render(&contrast.with(contrast.bad));
                out.push(MinimalPair { phenomenon: (*phenomenon).to_owned(), good, bad });
            }
        }
    }
    out
}

/// Selects the good one of two forms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    First,
    Second,
}

impl Way {
    fn number(self) -> Number {
        match self {
            Way::First => Number::Singular,
            Way::Second => Number::Plural,
        }
    }

    /// Orders two words as good and bad.
    fn choose(self, first: Word, second: Word) -> (Word, Word) {
        match self {
            Way::First => (first, second),
            Way::Second => (second, first),
        }
    }
}

/// A sentence with a gap for the word under test.
struct Contrast {
    before: Vec<Word>,
    good: Word,
    bad: Word,
    after: Vec<Word>,
}

impl Contrast {
    fn new(before: Vec<Word>, (good, bad): (Word, Word), after: Vec<Word>) -> Contrast {
        Contrast { before, good, bad, after }
    }

    fn with(&self, word: Word) -> Vec<Word> {
        self.before.iter().copied().chain([word]).chain(self.after.iter().copied()).collect()
    }
}

const LIVING: [Class; 2] = [Class::Human, Class::Animal];
const MODIFIABLE: [Class; 3] = [Class::Human, Class::Animal, Class::Thing];

struct Pairs {
    composer: Composer,
}

impl Pairs {
    // Choices.

    fn held_out(&mut self, construction: Construction, condition: impl Fn(&Noun) -> bool) -> usize {
        let mut nouns = LEXICON.nouns_where(condition);
        nouns.retain(|noun| held_out::from_construction(*noun, construction));
        self.composer.draw.pick(&nouns)
    }

    /// Picks a verb of the classes that shares no sentence with the noun in any document.
    fn new_verb(&mut self, noun: usize, classes: &[VerbClass]) -> usize {
        let mut verbs = LEXICON.verbs_of(classes);
        verbs.retain(|verb| held_out::from_verb(noun, *verb));
        // A small class may have no such verb; the construction is still held out.
        if verbs.is_empty() {
            verbs = LEXICON.verbs_of(classes);
        }
        self.composer.draw.pick(&verbs)
    }

    fn any_verb(&mut self, classes: &[VerbClass]) -> usize {
        self.composer.draw.pick(&LEXICON.verbs_of(classes))
    }

    fn other(&mut self, classes: &[Class], number: Number) -> Entity {
        Entity { noun: self.composer.anyone(classes).noun, number }
    }

    /// Picks an entity that misleads: mostly of the opposite number.
    fn attractor(&mut self, classes: &[Class], number: Number) -> Entity {
        let number = if self.composer.draw.percent(65) { number.other() } else { number };
        self.other(classes, number)
    }

    /// Builds `the old nurse`.
    fn the(&mut self, entity: Entity) -> Vec<Word> {
        let adjectives = self.composer.draw.weighted(&[(70, 0), (30, 1)]);
        self.composer.determined(entity, "the", adjectives)
    }

    /// Builds `near the old nurse`.
    fn near(&mut self, entity: Entity) -> Vec<Word> {
        let mut out = vec![self.composer.draw.pick(&LEXICON.prepositions)];
        out.extend(self.the(entity));
        out
    }

    fn adverb(&mut self, percent: u64) -> Option<Word> {
        self.composer.draw.percent(percent).then(|| self.composer.draw.pick(&LEXICON.adverbs))
    }

    /// Builds a predicate in the present: its word in the singular and in the plural, and the words after it.
    fn agreeing(&mut self, subject: usize) -> (Word, Word, Vec<Word>) {
        let class = LEXICON.nouns[subject].class;
        let verbs: &[VerbClass] = match class {
            Class::Thing => &[VerbClass::Happening],
            _ => &[VerbClass::Acting],
        };
        if class == Class::Place || self.composer.draw.percent(25) {
            let adjective = self.composer.draw.pick(LEXICON.adjectives(class));
            let of = |number| be(super::phrase::Tense::Present, number);
            return (of(Number::Singular), of(Number::Plural), vec![adjective, "."]);
        }
        let verb = &LEXICON.verbs[self.new_verb(subject, verbs)];
        (present(verb, Number::Singular), present(verb, Number::Plural), vec!["."])
    }

    /// Completes a sentence whose subject is written. Its verb must agree with `number`.
    fn agreement(&mut self, mut before: Vec<Word>, subject: usize, number: Number) -> Contrast {
        let (singular, plural, after) = self.agreeing(subject);
        let is_be = singular == "is";
        before.extend(self.adverb(if is_be { 0 } else { 25 }));
        let way = if number == Number::Singular { Way::First } else { Way::Second };
        Contrast::new(before, way.choose(singular, plural), after)
    }

    // Phenomena.

    /// The keys near the cabinet *rattle* / *rattles*.
    fn agreement_prepositional(&mut self, way: Way) -> Contrast {
        let noun = self.held_out(Construction::Prepositional, |noun| noun.class != Class::Name);
        let number = way.number();
        let mut subject = self.the(Entity { noun, number });
        let attractor = self.attractor(&[Class::Human, Class::Thing, Class::Place], number);
        subject.extend(self.near(attractor));
        self.agreement(subject, noun, number)
    }

    /// The nurse that the farmers admire *smiles* / *smile*.
    fn agreement_relative(&mut self, way: Way) -> Contrast {
        let noun = self.held_out(Construction::Relative, |noun| MODIFIABLE.contains(&noun.class));
        let number = way.number();
        let attractor = self.attractor(&[Class::Human], number);
        let mut subject = self.the(Entity { noun, number });
        subject.push("that");
        match LEXICON.nouns[noun].class {
            Class::Thing => {
                subject.extend(self.the(attractor));
                let verb = self.any_verb(&[VerbClass::Handling]);
                subject.push(present(&LEXICON.verbs[verb], attractor.number));
            }
            _ if self.composer.draw.percent(50) => {
                subject.extend(self.the(attractor));
                let verb = self.any_verb(&[VerbClass::Social, VerbClass::Sensing]);
                subject.push(present(&LEXICON.verbs[verb], attractor.number));
            }
            _ => {
                let verb = self.any_verb(&[VerbClass::Sensing]);
                subject.push(present(&LEXICON.verbs[verb], number));
                subject.extend(self.the(attractor));
            }
        }
        self.agreement(subject, noun, number)
    }

    /// The nurse that thanks the farmers that the boys admire *smiles* / *smile*. 30 % of the pairs nest three
    /// deep, which no document does.
    fn agreement_nested(&mut self, way: Way) -> Contrast {
        let noun = self.held_out(Construction::Relative, |noun| LIVING.contains(&noun.class));
        let number = way.number();
        let mut subject = self.the(Entity { noun, number });
        let mut inner = number;
        let levels = self.composer.draw.weighted(&[(70, 1), (30, 2)]);
        for _ in 0..levels {
            subject.push("that");
            let verb = self.any_verb(&[VerbClass::Sensing]);
            subject.push(present(&LEXICON.verbs[verb], inner));
            let object = self.attractor(&LIVING, number);
            inner = object.number;
            subject.extend(self.the(object));
        }
        subject.push("that");
        let last = self.attractor(&[Class::Human], number);
        subject.extend(self.the(last));
        let verb = self.any_verb(&[VerbClass::Social, VerbClass::Sensing]);
        subject.push(present(&LEXICON.verbs[verb], last.number));
        self.agreement(subject, noun, number)
    }

    /// The baker and the nurse *laugh*; the baker near both the nurse and the pilot *laughs*.
    fn agreement_coordination(&mut self, way: Way) -> Contrast {
        let noun = self.held_out(Construction::Coordination, |noun| MODIFIABLE.contains(&noun.class));
        let class = LEXICON.nouns[noun].class;
        let first = Entity::singular(noun);
        let (second, third) = loop {
            let others = (self.other(&[class], Number::Singular), self.other(&[class], Number::Singular));
            if others.0 != first && others.1 != first && others.0 != others.1 {
                break others;
            }
        };
        let subject = match way {
            Way::First => {
                let mut subject = self.the(first);
                subject.push(self.composer.draw.pick(&LEXICON.prepositions));
                subject.extend(self.composer.both(second, third));
                subject
            }
            Way::Second if self.composer.draw.percent(50) => self.composer.both(first, second),
            Way::Second => {
                let mut subject = self.the(first);
                subject.push("and");
                subject.extend(self.the(second));
                subject
            }
        };
        self.agreement(subject, noun, way.number())
    }

    /// The queen near the boys praised *herself* / *himself*.
    fn reflexive_gender(&mut self, way: Way) -> Contrast {
        let (wanted, other) = match way {
            Way::First => (Gender::Male, Gender::Female),
            Way::Second => (Gender::Female, Gender::Male),
        };
        let noun = self.held_out(Construction::Reflexive, |noun| noun.gender == wanted);
        let mut before = self.the(Entity::singular(noun));
        if LEXICON.nouns[noun].class == Class::Name {
            before.extend(self.adverb(100));
        } else {
            let opposite = LEXICON.nouns_where(|noun| noun.gender == other && noun.class == Class::Human);
            let noun = self.composer.draw.pick(&opposite);
            let number = if self.composer.draw.percent(50) { Number::Plural } else { Number::Singular };
            before.extend(self.near(Entity { noun, number }));
        }
        before.push(self.reflexive_verb(noun, LEXICON.nouns[noun].class));
        Contrast::new(before, way.choose("himself", "herself"), vec!["."])
    }

    fn reflexive_verb(&mut self, noun: usize, class: Class) -> Word {
        let fits = |verb: &usize| {
            let verb = &LEXICON.verbs[*verb];
            verb.reflexive && (class != Class::Animal || verb.class == VerbClass::Sensing)
        };
        let mut verbs: Vec<usize> = (0..LEXICON.verbs.len()).filter(fits).collect();
        if verbs.iter().any(|verb| held_out::from_verb(noun, *verb)) {
            verbs.retain(|verb| held_out::from_verb(noun, *verb));
        }
        &LEXICON.verbs[self.composer.draw.pick(&verbs)].past
    }

    /// The kings near the farmer praised *themselves* / *himself*.
    fn reflexive_number(&mut self, way: Way) -> Contrast {
        let noun = self.held_out(Construction::Reflexive, |noun| {
            LIVING.contains(&noun.class) && noun.has_pronoun(Number::Singular)
        });
        let (one, many) = (Entity::singular(noun), Entity { noun, number: Number::Plural });
        let number = way.number();
        let mut before = self.the(Entity { noun, number });
        let attractor = self.attractor(&[Class::Human, Class::Thing, Class::Place], number);
        before.extend(self.near(attractor));
        before.push(self.reflexive_verb(noun, LEXICON.nouns[noun].class));
        Contrast::new(before, way.choose(one.reflexive(), many.reflexive()), vec!["."])
    }

    /// Yesterday the nurse near the mills *laughed* / *laughs*; nowadays ...; tomorrow ... *will* / *did* not laugh.
    fn tense_adverb(&mut self, way: Way) -> Contrast {
        let classes = [Class::Human, Class::Animal, Class::Thing];
        let subject = self.composer.anyone(&classes);
        let verbs: &[VerbClass] = match LEXICON.nouns[subject.noun].class {
            Class::Thing => &[VerbClass::Happening],
            _ => &[VerbClass::Acting],
        };
        let held_out = LEXICON.verbs_of(verbs).into_iter().any(|verb| held_out::from_verb(subject.noun, verb));
        if !held_out {
            return self.tense_adverb(way);
        }
        let verb = &LEXICON.verbs[self.new_verb(subject.noun, verbs)];
        let future = self.composer.draw.percent(33);
        let times: &[Word] = match (way, future) {
            (Way::First, _) => &words::PAST_TIMES,
            (Way::Second, true) => &words::FUTURE_TIMES,
            (Way::Second, false) => &words::PRESENT_ONLY_TIMES,
        };
        let mut before: Vec<Word> = self.composer.draw.pick(times).split(' ').collect();
        before.extend(self.the(subject));
        let place = self.composer.anyone(&[Class::Thing, Class::Place]);
        before.extend(self.near(place));
        if future {
            return Contrast::new(before, way.choose("did", "will"), vec!["not", &verb.base, "."]);
        }
        before.extend(self.adverb(25));
        Contrast::new(before, way.choose(&verb.past, present(verb, subject.number)), vec!["."])
    }

    /// Anna carried these small old *boxes* / *box*.
    fn determiner_noun(&mut self, way: Way) -> Contrast {
        let noun = self.held_out(Construction::Determiner, |noun| MODIFIABLE.contains(&noun.class));
        let class = LEXICON.nouns[noun].class;
        let agent = self.composer.anyone(&[Class::Name, Class::Human]);
        let mut before = self.the(agent);
        let verbs: &[VerbClass] = match class {
            Class::Thing => &[VerbClass::Handling],
            _ => &[VerbClass::Social, VerbClass::Sensing],
        };
        let verb = self.new_verb(noun, verbs);
        before.push(&LEXICON.verbs[verb].past);
        let number = way.number();
        let determiner = match number {
            Number::Singular => self.composer.draw.pick(&words::SINGULAR_DETERMINERS),
            Number::Plural => self.composer.draw.pick(&words::PLURAL_DETERMINERS[..5]),
        };
        let adjectives = self.composer.draw.between(1, 3);
        before.extend(self.composer.determined(Entity { noun, number }, determiner, adjectives));
        before.pop();
        let noun = &LEXICON.nouns[noun];
        Contrast::new(before, way.choose(&noun.singular, &noun.plural), vec!["."])
    }

    /// The nurse did not mend the box *either* / *too*.
    fn polarity_item(&mut self, way: Way) -> Contrast {
        let noun = self.held_out(Construction::Polarity, |noun| noun.class == Class::Human);
        let number = if self.composer.draw.percent(50) { Number::Singular } else { Number::Plural };
        let mut before = self.the(Entity { noun, number });
        if self.composer.draw.percent(50) {
            let place = self.composer.anyone(&[Class::Thing, Class::Place]);
            before.extend(self.near(place));
        }
        let verb = &LEXICON.verbs[self.new_verb(noun, &[VerbClass::Handling])];
        match way {
            Way::First => before.extend(["did", "not", &verb.base]),
            Way::Second => before.push(&verb.past),
        }
        let object = self.composer.anyone(&[Class::Thing]);
        before.extend(self.the(object));
        let items = if self.composer.draw.percent(50) { ("either", "too") } else { ("yet", "already") };
        Contrast::new(before, way.choose(items.0, items.1), vec!["."])
    }

    /// Did the nurse near the mill *sleep* / *slept*? Which nurse near the mill *slept* / *sleep*?
    fn question_form(&mut self, way: Way) -> Contrast {
        let noun = self.held_out(Construction::Question, |noun| LIVING.contains(&noun.class));
        let verb = &LEXICON.verbs[self.new_verb(noun, &[VerbClass::Acting])];
        let subject = Entity::singular(noun);
        let mut before = match way {
            Way::First => {
                let mut words = vec!["did"];
                words.extend(self.the(subject));
                words
            }
            Way::Second => self.composer.determined(subject, "which", 0),
        };
        let place = self.composer.anyone(&[Class::Human, Class::Thing, Class::Place]);
        before.extend(self.near(place));
        Contrast::new(before, way.choose(&verb.base, &verb.past), vec!["?"])
    }

    /// The queen near the boys smiled, did *she* / *he* not?
    fn tag_question(&mut self, way: Way) -> Contrast {
        if self.composer.draw.percent(50) { self.tag_gender(way) } else { self.tag_number(way) }
    }

    fn tag_gender(&mut self, way: Way) -> Contrast {
        let wanted = if way == Way::First { Gender::Male } else { Gender::Female };
        let noun = self.held_out(Construction::Question, |noun| noun.gender == wanted);
        self.tag(Entity::singular(noun), way.choose("he", "she"))
    }

    fn tag_number(&mut self, way: Way) -> Contrast {
        let noun = self.held_out(Construction::Question, |noun| {
            MODIFIABLE.contains(&noun.class) && noun.has_pronoun(Number::Singular)
        });
        let (one, many) = (Entity::singular(noun), Entity { noun, number: Number::Plural });
        self.tag(Entity { noun, number: way.number() }, way.choose(one.pronoun(), many.pronoun()))
    }

    fn tag(&mut self, subject: Entity, pronouns: (Word, Word)) -> Contrast {
        let mut before = self.the(subject);
        let class = LEXICON.nouns[subject.noun].class;
        if class != Class::Name {
            let attractor = self.attractor(&[Class::Thing, Class::Place], subject.number);
            before.extend(self.near(attractor));
        }
        let verbs = if class == Class::Thing { VerbClass::Happening } else { VerbClass::Acting };
        let verb = self.new_verb(subject.noun, &[verbs]);
        before.extend([&*LEXICON.verbs[verb].past, ",", "did"]);
        Contrast::new(before, pronouns, vec!["not", "?"])
    }

    /// The box that the nurse *carried* / *slept* near the mill is red; the nurse that *slept* / *carried* near the
    /// mill is tired.
    fn filler_gap(&mut self, way: Way) -> Contrast {
        let subject = self.held_out(Construction::Relative, |noun| noun.class == Class::Human);
        let handling = &LEXICON.verbs[self.new_verb(subject, &[VerbClass::Handling])];
        let acting = &LEXICON.verbs[self.new_verb(subject, &[VerbClass::Acting])];
        let (mut before, head) = match way {
            Way::First => {
                let noun = self.held_out(Construction::Relative, |noun| noun.class == Class::Thing);
                let mut words = self.the(Entity::singular(noun));
                words.push("that");
                words.extend(self.the(Entity::singular(subject)));
                (words, noun)
            }
            Way::Second => (self.the(Entity::singular(subject)), subject),
        };
        if way == Way::Second {
            before.push("that");
        }
        let place = self.composer.anyone(&[Class::Thing, Class::Place]);
        let mut after = self.near(place);
        after.extend(["was", self.composer.draw.pick(LEXICON.adjectives(LEXICON.nouns[head].class)), "."]);
        Contrast::new(before, way.choose(&handling.past, &acting.past), after)
    }

    /// The *nurse* / *box* near the mill yawned; the *box* / *nurse* near the mill rusted.
    fn semantic_selection(&mut self, way: Way) -> Contrast {
        let class = if way == Way::First { Class::Human } else { Class::Thing };
        let verbs = if way == Way::First { VerbClass::Acting } else { VerbClass::Happening };
        let number = if self.composer.draw.percent(50) { Number::Singular } else { Number::Plural };
        let (person, thing) = loop {
            let pair = (self.other(&[Class::Human], number), self.other(&[Class::Thing], number));
            let good = if class == Class::Human { pair.0 } else { pair.1 };
            if LEXICON.verbs_of(&[verbs]).iter().any(|verb| held_out::from_verb(good.noun, *verb)) {
                break pair;
            }
        };
        let good = if class == Class::Human { person } else { thing };
        let verb = &LEXICON.verbs[self.new_verb(good.noun, &[verbs])];
        let place = self.composer.anyone(&[Class::Place]);
        let mut after = self.near(place);
        after.extend([&*verb.past, "."]);
        Contrast::new(vec!["the"], way.choose(person.word(), thing.word()), after)
    }
}
