//! Builds noun phrases and predicates from chosen entities.

use super::draw::Draw;
use super::lexicon::{Class, LEXICON, Number, VerbClass, Word};
use super::phrase::{Entity, Predicate, Tense};
use super::words;

/// Composes phrases about the cast of a story, and sometimes about others.
pub struct Composer {
    pub draw: Draw,
    cast: Vec<Entity>,
    /// Verbs that the story mostly uses.
    themes: Vec<usize>,
}

/// Number of verbs per class that a story mostly uses.
const THEMES: [(VerbClass, usize); 6] = [
    (VerbClass::Acting, 4),
    (VerbClass::Social, 3),
    (VerbClass::Sensing, 2),
    (VerbClass::Handling, 4),
    (VerbClass::Happening, 3),
    (VerbClass::Moving, 1),
];

/// Deepest nesting of relative clauses in documents.
const MOST_NESTED: u32 = 2;

impl Composer {
    /// Composes from the whole lexicon, without a preferred cast.
    pub fn without_cast(draw: Draw) -> Composer {
        Composer { draw, cast: Vec::new(), themes: Vec::new() }
    }

    /// Chooses a cast of people, animals, things and places, and the verbs that they mostly use.
    pub fn with_cast(draw: Draw) -> Composer {
        let mut composer = Composer::without_cast(draw);
        for (class, count) in
            [(Class::Name, 2), (Class::Human, 4), (Class::Animal, 2), (Class::Thing, 5), (Class::Place, 2)]
        {
            for _ in 0..count {
                let entity = composer.anyone(&[class]);
                composer.cast.push(entity);
            }
        }
        for (class, count) in THEMES {
            for _ in 0..count {
                let verb = composer.draw.pick(&LEXICON.verbs_of(&[class]));
                composer.themes.push(verb);
            }
        }
        composer
    }

    /// Picks an entity of one of the classes, mostly from the cast.
    pub fn someone(&mut self, classes: &[Class]) -> Entity {
        let known: Vec<Entity> =
            self.cast.iter().copied().filter(|entity| classes.contains(&LEXICON.nouns[entity.noun].class)).collect();
        if !known.is_empty() && self.draw.percent(75) { self.draw.pick(&known) } else { self.anyone(classes) }
    }

    /// Picks an entity of one of the classes from the whole lexicon.
    pub fn anyone(&mut self, classes: &[Class]) -> Entity {
        let class = self.draw.pick(classes);
        let noun = self.draw.pick(&LEXICON.nouns_where(|noun| noun.class == class));
        let number = if class != Class::Name && self.draw.percent(50) { Number::Plural } else { Number::Singular };
        Entity { noun, number }
    }

    /// Builds determiner, adjectives and noun: `these old boxes`.
    pub fn simple(&mut self, entity: Entity) -> Vec<Word> {
        let adjectives = self.draw.weighted(&[(70, 0), (20, 1), (8, 2), (2, 3)]);
        let determiner = match entity.number {
            _ if self.draw.percent(45) => "the",
            Number::Singular => self.draw.pick(&words::SINGULAR_DETERMINERS),
            Number::Plural => self.draw.pick(&words::PLURAL_DETERMINERS),
        };
        self.determined(entity, determiner, adjectives)
    }

    /// Builds a noun phrase with the given determiner and number of adjectives. A name stands alone.
    pub fn determined(&mut self, entity: Entity, determiner: Word, adjectives: usize) -> Vec<Word> {
        let class = LEXICON.nouns[entity.noun].class;
        if class == Class::Name {
            return vec![entity.word()];
        }
        let mut rest: Vec<Word> = Vec::new();
        while rest.len() < adjectives {
            let adjective = self.draw.pick(LEXICON.adjectives(class));
            if !rest.contains(&adjective) {
                rest.push(adjective);
            }
        }
        rest.push(entity.word());
        let vowel = rest[0].starts_with(['a', 'e', 'i', 'o', 'u']) && !rest[0].starts_with("use");
        let mut out = vec![if determiner == "a" && vowel { "an" } else { determiner }];
        out.extend(rest);
        out
    }

    /// Builds a noun phrase that may have a prepositional phrase or a relative clause.
    pub fn modified(&mut self, entity: Entity, tense: Tense) -> Vec<Word> {
        self.nested(entity, tense, 0)
    }

    fn nested(&mut self, entity: Entity, tense: Tense, depth: u32) -> Vec<Word> {
        let mut out = self.simple(entity);
        let class = LEXICON.nouns[entity.noun].class;
        if class == Class::Name {
            return out;
        }
        let (prepositional, relative) = if depth == 0 { (34, 36) } else { (10, 42) };
        if self.draw.percent(prepositional) {
            out.extend(self.prepositional());
        } else if depth < MOST_NESTED && class != Class::Place && self.draw.percent(relative) {
            out.extend(self.relative(entity, tense.inner(), depth + 1));
        }
        out
    }

    /// Builds `near the mill`, sometimes `near both the nurse and the pilot`.
    pub fn prepositional(&mut self) -> Vec<Word> {
        let classes = [Class::Human, Class::Animal, Class::Thing, Class::Place];
        let mut out = vec![self.draw.pick(&LEXICON.prepositions)];
        let entity = self.someone(&classes);
        if self.draw.percent(12) {
            let other = self.someone(&classes);
            out.extend(self.both(entity, other));
        } else {
            out.extend(self.simple(entity));
        }
        out
    }

    /// Builds `both the nurse and the pilot`.
    pub fn both(&mut self, first: Entity, second: Entity) -> Vec<Word> {
        let mut out = vec!["both"];
        out.extend(self.determined(first, "the", 0));
        out.push("and");
        out.extend(self.determined(second, "the", 0));
        out
    }

    /// Builds `that sleeps` or `that the nurse admires`, sometimes with a place.
    fn relative(&mut self, entity: Entity, tense: Tense, depth: u32) -> Vec<Word> {
        let class = LEXICON.nouns[entity.noun].class;
        let mut out = vec!["that"];
        if class == Class::Thing && self.draw.percent(75) || class != Class::Thing && self.draw.percent(45) {
            let subject = self.someone(&[Class::Name, Class::Human]);
            let verbs: &[VerbClass] = match class {
                Class::Thing => &[VerbClass::Handling],
                _ => &[VerbClass::Social, VerbClass::Sensing],
            };
            out.extend(self.nested(subject, tense, depth));
            let verb = self.verb(verbs);
            out.extend(Predicate::Verb { verb, complement: Vec::new() }.affirmed(tense, subject.number, None));
            if self.draw.percent(25) {
                out.extend(self.prepositional());
            }
        } else {
            out.extend(self.predicate(entity, tense, depth).affirmed(tense, entity.number, None));
        }
        out
    }

    pub fn predicate(&mut self, subject: Entity, tense: Tense, depth: u32) -> Predicate {
        let class = LEXICON.nouns[subject.noun].class;
        let kinds: &[(u64, Option<VerbClass>)] = match class {
            Class::Name | Class::Human => &[
                (24, Some(VerbClass::Acting)),
                (20, Some(VerbClass::Social)),
                (8, Some(VerbClass::Sensing)),
                (28, Some(VerbClass::Handling)),
                (6, Some(VerbClass::Moving)),
                (14, None),
            ],
            Class::Animal => &[
                (45, Some(VerbClass::Acting)),
                (30, Some(VerbClass::Sensing)),
                (8, Some(VerbClass::Moving)),
                (17, None),
            ],
            Class::Thing => &[(65, Some(VerbClass::Happening)), (35, None)],
            Class::Place => &[(1, None)],
        };
        match self.draw.weighted(kinds) {
            Some(VerbClass::Handling)
                if LEXICON.nouns[subject.noun].has_pronoun(subject.number) && self.draw.percent(40) =>
            {
                self.handling_own(subject)
            }
            Some(verbs) => self.verb_phrase(verbs, tense, depth),
            None => Predicate::Be { adjective: self.draw.pick(LEXICON.adjectives(class)) },
        }
    }

    /// Builds `carries her box`. The possessive always refers to the subject.
    fn handling_own(&mut self, subject: Entity) -> Predicate {
        let verb = self.verb(&[VerbClass::Handling]);
        let thing = self.someone(&[Class::Thing]);
        Predicate::Verb { verb, complement: self.determined(thing, subject.possessive(), 0) }
    }

    /// Picks a verb of one of the classes, mostly one of the story's verbs.
    fn verb(&mut self, classes: &[VerbClass]) -> usize {
        let of_story: Vec<usize> =
            self.themes.iter().copied().filter(|verb| classes.contains(&LEXICON.verbs[*verb].class)).collect();
        if !of_story.is_empty() && self.draw.percent(65) {
            self.draw.pick(&of_story)
        } else {
            self.draw.pick(&LEXICON.verbs_of(classes))
        }
    }

    pub fn verb_phrase(&mut self, class: VerbClass, tense: Tense, depth: u32) -> Predicate {
        let verb = self.verb(&[class]);
        let mut complement = Vec::new();
        match class {
            VerbClass::Acting | VerbClass::Happening => {
                if self.draw.percent(35) {
                    complement = self.prepositional();
                }
            }
            VerbClass::Social | VerbClass::Sensing => {
                let object = self.someone(&[Class::Name, Class::Human, Class::Human, Class::Animal]);
                complement = self.object(object, tense, depth);
            }
            VerbClass::Handling => {
                let object = self.someone(&[Class::Thing]);
                complement = self.object(object, tense, depth);
            }
            VerbClass::Moving => {
                let place = self.someone(&[Class::Place]);
                complement.push("to");
                complement.extend(self.simple(place));
            }
            VerbClass::Saying => {
                let subject = self.someone(&[Class::Name, Class::Human, Class::Animal, Class::Thing]);
                complement.push("that");
                complement.extend(self.nested(subject, tense, 1));
                complement.extend(self.predicate(subject, tense, 1).affirmed(tense, subject.number, None));
            }
        }
        Predicate::Verb { verb, complement }
    }

    /// Modifies objects less often than subjects.
    fn object(&mut self, entity: Entity, tense: Tense, depth: u32) -> Vec<Word> {
        if self.draw.percent(55) { self.nested(entity, tense, depth.max(1)) } else { self.simple(entity) }
    }
}
