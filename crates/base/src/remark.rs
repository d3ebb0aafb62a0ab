//! Tags and notes that people give to runs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::text::visible::is_hidden;

/// Maximum number of tags of a run.
pub const MOST_TAGS: usize = 32;
/// Maximum bytes of a tag.
const LONGEST_TAG: usize = 64;
/// Maximum bytes of a note.
const LONGEST_NOTE: usize = 4096;

/// A word that groups runs, such as `baseline`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

/// A text about a run, in as many lines as it needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note(String);

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidRemark {
    #[error("a {0} has at least one character")]
    Empty(&'static str),
    #[error("a {what} has at most {most} bytes, this one has {found}")]
    TooLong { what: &'static str, most: usize, found: usize },
    #[error("a tag cannot hold `{}`", .0.escape_default())]
    TagCharacter(char),
    #[error("a tag cannot start with `{0}`")]
    TagStart(char),
    #[error("a note cannot hold `{}`", .0.escape_default())]
    NoteCharacter(char),
}

impl FromStr for Tag {
    type Err = InvalidRemark;

    /// Allows letters of all scripts, digits and signs, but no spaces and no commas, which separate tags.
    fn from_str(text: &str) -> Result<Tag, InvalidRemark> {
        check_length("tag", text, LONGEST_TAG)?;
        match text.chars().find(|c| c.is_whitespace() || *c == ',' || is_hidden(*c)) {
            Some(c) => Err(InvalidRemark::TagCharacter(c)),
            None => match text.chars().next() {
                Some(c @ ('-' | '+')) => Err(InvalidRemark::TagStart(c)),
                _ => Ok(Tag(text.to_owned())),
            },
        }
    }
}

impl FromStr for Note {
    type Err = InvalidRemark;

    /// Allows any text without control characters other than tabs and line feeds.
    fn from_str(text: &str) -> Result<Note, InvalidRemark> {
        let text = text.trim_end();
        check_length("note", text, LONGEST_NOTE)?;
        match text.chars().find(|c| is_hidden(*c) && !matches!(c, '\n' | '\t')) {
            Some(c) => Err(InvalidRemark::NoteCharacter(c)),
            None => Ok(Note(text.to_owned())),
        }
    }
}

fn check_length(what: &'static str, text: &str, most: usize) -> Result<(), InvalidRemark> {
    match text.len() {
        0 => Err(InvalidRemark::Empty(what)),
        found if found > most => Err(InvalidRemark::TooLong { what, most, found }),
        _ => Ok(()),
    }
}

impl Tag {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Note {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Tag {
    type Error = InvalidRemark;

    fn try_from(text: String) -> Result<Tag, InvalidRemark> {
        text.parse()
    }
}

impl From<Tag> for String {
    fn from(Tag(text): Tag) -> String {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_single_words() {
        for tag in ["baseline", "lr=0.1", "größe", "v2.1", "#7", "x-y"] {
            assert_eq!(tag.parse::<Tag>().unwrap().as_str(), tag);
        }
        for (tag, error) in [
            ("", InvalidRemark::Empty("tag")),
            ("a b", InvalidRemark::TagCharacter(' ')),
            ("a,b", InvalidRemark::TagCharacter(',')),
            ("a\x1b", InvalidRemark::TagCharacter('\x1b')),
            ("-x", InvalidRemark::TagStart('-')),
            ("+x", InvalidRemark::TagStart('+')),
            (&"x".repeat(65), InvalidRemark::TooLong { what: "tag", most: 64, found: 65 }),
        ] {
            assert_eq!(tag.parse::<Tag>(), Err(error), "{tag:?}");
        }
    }

    #[test]
    fn notes_have_lines_and_a_bound() {
        assert_eq!("one\n\ttwo\n".parse::<Note>().unwrap().as_str(), "one\n\ttwo");
        assert_eq!(" \n".parse::<Note>(), Err(InvalidRemark::Empty("note")));
        assert_eq!("a\x1b[2J".parse::<Note>(), Err(InvalidRemark::NoteCharacter('\x1b')));
        let found = LONGEST_NOTE + 1;
        let error = InvalidRemark::TooLong { what: "note", most: LONGEST_NOTE, found };
        assert_eq!("n".repeat(found).parse::<Note>(), Err(error));
    }
}
