//! The text of one field of a JSON object.

use std::ops::Range;

use super::scan::{NotJson, Scan};
use super::unescape::unescape;
use crate::steps::invisible;

/// What a field of an object holds.
#[derive(PartialEq, Eq, Debug)]
pub enum Field {
    Text {
        text: String,
        /// Halves of surrogate pairs that became U+FFFD.
        lone_surrogates: u64,
    },
    Null,
    /// Neither text nor null, or an object where the path needs one.
    Other {
        /// The part of the path that holds it; empty for the whole line.
        path: String,
        is: &'static str,
    },
    Missing {
        /// The object in which it is missing; empty for the whole line.
        path: String,
        fields: Vec<String>,
    },
}

/// The field `path` of the object `text`: the field of that name, or through objects, at each dot.
/// The last one of fields with the same name counts, as in most readers of JSON.
///
/// # Errors
/// When the text is not one JSON value.
pub fn field(text: &str, path: &str) -> Result<Field, NotJson> {
    let mut scan = Scan::new(text);
    scan.value()?;
    scan.end()?;
    let (mut object, mut done) = (text, 0);
    loop {
        let so_far = || path[..done].trim_end_matches('.').to_owned();
        let rest = &path[done..];
        let entries = match Entries::of(object, rest)? {
            Ok(entries) => entries,
            Err("null") if done > 0 => return Ok(Field::Null),
            Err(is) => return Ok(Field::Other { path: so_far(), is }),
        };
        let Some((length, value)) = entries.best else {
            return Ok(Field::Missing { path: so_far(), fields: entries.names });
        };
        let value = &object[value];
        if length < rest.len() {
            (object, done) = (value, done + length + 1);
            continue;
        }
        return Ok(match kind(value) {
            "a string" => {
                let (text, lone_surrogates) = unescape(&value[1..value.len() - 1]);
                Field::Text { text: text.into_owned(), lone_surrogates }
            }
            "null" => Field::Null,
            is => Field::Other { path: path.to_owned(), is },
        });
    }
}

/// Fields that are named when one is missing.
const NAMED: usize = 20;

struct Entries {
    names: Vec<String>,
    /// How much of the path the name of the field covers, and its value.
    best: Option<(usize, Range<usize>)>,
}

impl Entries {
    /// The entries of an object that was checked already; the inner error says what it is instead.
    fn of(object: &str, path: &str) -> Result<Result<Entries, &'static str>, NotJson> {
        let mut scan = Scan::new(object);
        scan.space();
        if !scan.takes(b'{') {
            return Ok(Err(kind(object)));
        }
        let mut entries = Entries { names: Vec::new(), best: None };
        scan.space();
        if scan.takes(b'}') {
            return Ok(Ok(entries));
        }
        loop {
            let key = scan.key()?;
            scan.space();
            let start = scan.at();
            scan.value()?;
            entries.add(&unescape(&object[key]).0, start..scan.at(), path);
            scan.space();
            if !scan.takes(b',') {
                return Ok(Ok(entries));
            }
        }
    }

    fn add(&mut self, name: &str, value: Range<usize>, path: &str) {
        let behind = path.strip_prefix(name);
        let covers = behind.is_some_and(|behind| behind.is_empty() || behind.starts_with('.'));
        if covers && self.best.as_ref().is_none_or(|(length, _)| *length <= name.len()) {
            self.best = Some((name.len(), value));
        }
        if self.names.len() < NAMED {
            self.names.push(format!("`{}`", invisible::shown(name)));
        } else if self.names.len() == NAMED {
            self.names.push("and more".to_owned());
        }
    }
}

/// What a valid JSON value is.
pub fn kind(value: &str) -> &'static str {
    match value.trim_start().bytes().next() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}
