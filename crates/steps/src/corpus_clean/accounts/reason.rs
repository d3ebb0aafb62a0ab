//! Reasons to drop a document.

use serde::{Deserialize, Serialize};

use crate::corpus_clean::quality::{Rule, rule};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Reason {
    Empty,
    TooShort,
    TooLong,
    Language,
    /// A quality rule, by its position in the table.
    Quality(u8),
    Duplicate,
    NearDuplicate,
    /// Training text that shares words with held-out text.
    Contaminated,
}

impl Reason {
    /// Reasons that are counted whatever the arguments.
    pub const ALWAYS: [Reason; 5] =
        [Reason::Empty, Reason::TooShort, Reason::TooLong, Reason::Language, Reason::Duplicate];

    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Empty => "empty",
            Reason::TooShort => "too_short",
            Reason::TooLong => "too_long",
            Reason::Language => "language",
            Reason::Quality(at) => rule(at).name,
            Reason::Duplicate => "duplicate",
            Reason::NearDuplicate => "near_duplicate",
            Reason::Contaminated => "contaminated",
        }
    }

    /// The quality rule, if it is one.
    pub fn rule(self) -> Option<&'static Rule> {
        if let Reason::Quality(at) = self { Some(rule(at)) } else { None }
    }

    /// Returns a hint for keeping such documents, mostly by the arguments of `corpus.clean`.
    pub fn remedy(self) -> String {
        let hint = match self {
            Reason::Empty => "the documents hold no visible text: check what was imported",
            Reason::TooShort => "lower `min_chars`",
            Reason::TooLong => "raise `max_chars`, or import with `split = \"paragraph\"`",
            Reason::Language => "add the corpus's language to `languages`, or leave `languages` out",
            Reason::Quality(at) => return format!("set `{}` in `thresholds`, or leave its preset out", rule(at).name),
            Reason::Duplicate => "set `dedupe = false`",
            Reason::NearDuplicate => "raise `near_duplicates`, or set it to 0",
            Reason::Contaminated => "raise `contamination_words`, or set it to 0",
        };
        hint.to_owned()
    }
}
