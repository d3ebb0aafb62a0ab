//! Documents: paragraphs about one cast, each paragraph in one tense.

use super::composer::Composer;
use super::draw::Draw;
use super::held_out;
use super::lexicon::{Class, LEXICON, Number, VerbClass, Word};
use super::phrase::{Entity, Predicate, Tense, render};

#[derive(Clone, Copy)]
enum Kind {
    Statement,
    Reflexive,
    Pronoun,
    Negation,
    Polarity,
    Question,
    WhichQuestion,
    Tag,
    Coordination,
    Report,
}

const KINDS: [(u64, Kind); 10] = [
    (29, Kind::Statement),
    (13, Kind::Reflexive),
    (12, Kind::Pronoun),
    (4, Kind::Negation),
    (8, Kind::Polarity),
    (7, Kind::Question),
    (4, Kind::WhichQuestion),
    (11, Kind::Tag),
    (8, Kind::Coordination),
    (4, Kind::Report),
];

/// Tries for one kind of sentence before another kind is drawn.
const TRIES: u32 = 20;

/// Writes a document of 8 to 30 sentences.
pub fn write(draw: Draw) -> String {
    let mut story = Story { composer: Composer::with_cast(draw), tense: Tense::Past, subject: None, event: None };
    let mut left = story.composer.draw.between(8, 30);
    let mut paragraphs = Vec::new();
    while left > 0 {
        // Avoids a last paragraph of a single sentence.
        let length = story.composer.draw.between(3, 6);
        let length = if left <= length + 1 { left } else { length };
        paragraphs.push(story.paragraph(length));
        left -= length;
    }
    paragraphs.join("\n\n")
}

struct Story {
    composer: Composer,
    tense: Tense,
    /// Subject of the last sentence.
    subject: Option<Entity>,
    /// The last event that a sentence may refer to.
    event: Option<Predicate>,
}

struct Sentence {
    words: Vec<Word>,
    subject: Option<Entity>,
    event: Option<Predicate>,
}

impl Story {
    fn paragraph(&mut self, length: usize) -> String {
        self.tense = self.composer.draw.weighted(&[(30, Tense::Past), (55, Tense::Present), (15, Tense::Future)]);
        self.subject = None;
        self.event = None;
        let sentences: Vec<String> = (0..length).map(|_| self.sentence()).collect();
        sentences.join(" ")
    }

    /// Writes the next sentence that contains no held-out combination.
    fn sentence(&mut self) -> String {
        loop {
            let kind = self.composer.draw.weighted(&KINDS);
            // Retrying the same kind keeps the mix of kinds. The limit is needed because some kinds cannot succeed,
            // for example a sentence about the last event when its noun and verb are held out.
            for _ in 0..TRIES {
                let sentence = self.compose(kind);
                if !held_out::leaks(&sentence.words) {
                    self.subject = sentence.subject;
                    let event = sentence.event.filter(|event| !event.refers_to_subject());
                    self.event = event.or(self.event.take());
                    return render(&sentence.words);
                }
            }
        }
    }

    fn compose(&mut self, kind: Kind) -> Sentence {
        match kind {
            Kind::Statement => self.statement(),
            Kind::Reflexive => self.reflexive(),
            Kind::Pronoun => self.pronoun(),
            Kind::Negation => self.negation(),
            Kind::Polarity => self.polarity(),
            Kind::Question => self.question(),
            Kind::WhichQuestion => self.which_question(),
            Kind::Tag => self.tag(),
            Kind::Coordination => self.coordination(),
            Kind::Report => self.report(),
        }
    }

    fn anything(&mut self) -> Entity {
        let classes =
            [Class::Name, Class::Human, Class::Human, Class::Human, Class::Animal, Class::Thing, Class::Thing];
        if self.composer.draw.percent(4) {
            self.composer.someone(&[Class::Place])
        } else {
            self.composer.someone(&classes)
        }
    }

    fn adverb(&mut self) -> Option<Word> {
        self.composer.draw.percent(15).then(|| self.composer.draw.pick(&LEXICON.adverbs))
    }

    /// Picks an adverb of time, such as `yesterday`, for two fifths of the sentences.
    fn time(&mut self) -> Vec<Word> {
        if !self.composer.draw.percent(40) {
            return Vec::new();
        }
        self.composer.draw.pick(self.tense.times()).split(' ').collect()
    }

    fn statement(&mut self) -> Sentence {
        let subject = self.anything();
        let predicate = self.composer.predicate(subject, self.tense, 1);
        let mut words = self.time();
        words.extend(self.composer.modified(subject, self.tense));
        self.affirm(words, subject, predicate)
    }

    fn affirm(&mut self, mut words: Vec<Word>, subject: Entity, predicate: Predicate) -> Sentence {
        let adverb = self.adverb();
        words.extend(predicate.affirmed(self.tense, subject.number, adverb));
        words.push(".");
        Sentence { words, subject: Some(subject), event: Some(predicate) }
    }

    fn reflexive(&mut self) -> Sentence {
        let subject = self.someone_with_pronoun(&[Class::Name, Class::Human, Class::Human, Class::Animal]);
        let class = LEXICON.nouns[subject.noun].class;
        let verbs: Vec<usize> = (0..LEXICON.verbs.len())
            .filter(|verb| LEXICON.verbs[*verb].reflexive)
            .filter(|verb| class != Class::Animal || LEXICON.verbs[*verb].class == VerbClass::Sensing)
            .collect();
        let verb = self.composer.draw.pick(&verbs);
        let predicate = Predicate::Verb { verb, complement: vec![subject.reflexive()] };
        let mut words = self.time();
        words.extend(self.composer.modified(subject, self.tense));
        let adverb = self.adverb();
        words.extend(predicate.affirmed(self.tense, subject.number, adverb));
        words.push(".");
        Sentence { words, subject: Some(subject), event: None }
    }

    fn someone_with_pronoun(&mut self, classes: &[Class]) -> Entity {
        loop {
            let entity = self.composer.someone(classes);
            // Plurals always have a pronoun; too many of them would leave few sentences that show gender.
            let welcome = entity.number == Number::Singular || self.composer.draw.percent(60);
            if welcome && LEXICON.nouns[entity.noun].has_pronoun(entity.number) {
                return entity;
            }
        }
    }

    /// Says more about the subject of the last sentence.
    fn pronoun(&mut self) -> Sentence {
        let known = self.subject.filter(|subject| LEXICON.nouns[subject.noun].has_pronoun(subject.number));
        let Some(subject) = known else { return self.statement() };
        let predicate = self.composer.predicate(subject, self.tense, 1);
        let words = vec![subject.pronoun()];
        self.affirm(words, subject, predicate)
    }

    fn negation(&mut self) -> Sentence {
        let subject = self.anything();
        let predicate = self.composer.predicate(subject, self.tense, 1);
        let mut words;
        if LEXICON.nouns[subject.noun].class != Class::Name && self.composer.draw.percent(30) {
            words = self.composer.determined(subject, "no", 0);
            words.extend(predicate.affirmed(self.tense, subject.number, Some("ever")));
        } else {
            words = self.time();
            words.extend(self.composer.modified(subject, self.tense));
            words.extend(predicate.negated(self.tense, subject.number));
        }
        words.push(".");
        Sentence { words, subject: Some(subject), event: None }
    }

    /// States the same of another subject: with `too` or `already`, or negated with `either` or `yet`.
    fn polarity(&mut self) -> Sentence {
        let (subject, predicate) = self.same_event();
        let affirmed = self.composer.draw.percent(50);
        let mut words = self.composer.modified(subject, self.tense);
        words.extend(match affirmed {
            true => predicate.affirmed(self.tense, subject.number, None),
            false => predicate.negated(self.tense, subject.number),
        });
        words.push(self.composer.draw.pick(if affirmed { &["too", "already"] } else { &["either", "yet"] }));
        words.push(".");
        Sentence { words, subject: Some(subject), event: Some(predicate) }
    }

    /// Returns the last event with a subject that fits, or a new event.
    fn same_event(&mut self) -> (Entity, Predicate) {
        if let Some(Predicate::Verb { verb, complement }) = self.event.clone()
            && self.composer.draw.percent(60)
        {
            let subjects: &[Class] = match LEXICON.verbs[verb].class {
                VerbClass::Happening => &[Class::Thing],
                VerbClass::Acting | VerbClass::Sensing | VerbClass::Moving => {
                    &[Class::Name, Class::Human, Class::Human, Class::Animal]
                }
                VerbClass::Social | VerbClass::Handling | VerbClass::Saying => {
                    &[Class::Name, Class::Human, Class::Human]
                }
            };
            return (self.composer.someone(subjects), Predicate::Verb { verb, complement });
        }
        let subject = self.anything();
        let predicate = self.composer.predicate(subject, self.tense, 1);
        (subject, predicate)
    }

    fn question(&mut self) -> Sentence {
        let (subject, predicate) = self.same_event();
        let mut words = vec![predicate.operator(self.tense, subject.number)];
        words.extend(self.composer.modified(subject, self.tense));
        words.extend(predicate.after_operator(self.tense));
        words.push("?");
        Sentence { words, subject: Some(subject), event: None }
    }

    fn which_question(&mut self) -> Sentence {
        let (subject, predicate) = self.same_event();
        if LEXICON.nouns[subject.noun].class == Class::Name {
            return self.question();
        }
        let mut words = self.composer.determined(subject, "which", 0);
        if self.composer.draw.percent(45) {
            words.extend(self.composer.prepositional());
        }
        words.extend(predicate.affirmed(self.tense, subject.number, None));
        words.push("?");
        Sentence { words, subject: None, event: None }
    }

    fn tag(&mut self) -> Sentence {
        let classes = [Class::Name, Class::Human, Class::Human, Class::Animal, Class::Thing];
        let subject = self.someone_with_pronoun(&classes);
        let predicate = self.composer.predicate(subject, self.tense, 1);
        let mut words = self.composer.modified(subject, self.tense);
        words.extend(predicate.affirmed(self.tense, subject.number, None));
        words.extend([",", predicate.operator(self.tense, subject.number), subject.pronoun(), "not", "?"]);
        Sentence { words, subject: Some(subject), event: Some(predicate) }
    }

    fn coordination(&mut self) -> Sentence {
        let first = self.anything();
        let second = loop {
            let other = self.composer.someone(&[LEXICON.nouns[first.noun].class]);
            if other.noun != first.noun {
                break other;
            }
        };
        let plural = Entity { noun: first.noun, number: Number::Plural };
        let predicate = self.composer.predicate(plural, self.tense, 1);
        let mut words = self.time();
        if self.composer.draw.percent(40) {
            words.extend(self.composer.both(first, second));
        } else {
            words.extend(self.composer.determined(first, "the", 0));
            words.push("and");
            words.extend(self.composer.determined(second, "the", 0));
        }
        let adverb = self.adverb();
        words.extend(predicate.affirmed(self.tense, Number::Plural, adverb));
        words.push(".");
        Sentence { words, subject: None, event: None }
    }

    fn report(&mut self) -> Sentence {
        let subject = self.composer.someone(&[Class::Name, Class::Human, Class::Human]);
        let predicate = self.composer.verb_phrase(VerbClass::Saying, self.tense, 1);
        let words = self.composer.simple(subject);
        self.affirm(words, subject, predicate)
    }
}
