//! Extracts the text of one field from a JSON object.

use std::ops::Range;

use super::scan::{NotJson, Scan};
use super::unescape::unescape;
use crate::invisible;

#[derive(PartialEq, Eq, Debug)]
pub enum Field {
    Text {
        text: String,
        /// Number of unpaired surrogates that became U+FFFD.
        lone_surrogates: u64,
    },
    Null,
    /// Neither text nor null, or no object where the path needs one.
    Other {
        /// Part of the path that leads to the value; empty for the whole line.
        path: String,
        is: &'static str,
    },
    Missing {
        /// The object that lacks the field; empty for the whole line.
        path: String,
        fields: Vec<String>,
    },
}

/// Finds the field `path` of the JSON object `text`: a field of that exact name, or a nested field with a dot per
/// level. Of duplicate names the last one counts, as in most JSON readers.
///
/// # Errors
/// When the text is not one JSON value.
pub fn field(text: &str, path: &str) -> Result<Field, NotJson> {
    let mut scan = Scan::new(text);
    let mut best = entry(&mut scan, text, path)?;
    scan.end()?;
    let (mut object, mut done) = (text, 0);
    loop {
        let so_far = || path[..done].trim_end_matches('.').to_owned();
        let rest = &path[done..];
        let (length, value) = match best {
            Found::Entry(length, value) => (length, value),
            Found::NoEntry => return Ok(Field::Missing { path: so_far(), fields: names(object)? }),
            Found::NoObject("null") if done > 0 => return Ok(Field::Null),
            Found::NoObject(is) => return Ok(Field::Other { path: so_far(), is }),
        };
        let value = &object[value];
        if length < rest.len() {
            (object, done) = (value, done + length + 1);
            best = entry(&mut Scan::new(object), object, &path[done..])?;
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

/// Result of a search for an entry whose name starts a path.
enum Found {
    /// Length of the path that the name covers, and the range of the value.
    Entry(usize, Range<usize>),
    NoEntry,
    /// Kind of a value that is not an object.
    NoObject(&'static str),
}

/// Reads the value at `scan`; in an object, finds the entry whose name covers most of the path.
fn entry(scan: &mut Scan<'_>, text: &str, path: &str) -> Result<Found, NotJson> {
    scan.space();
    if scan.peek() != Some(b'{') {
        let start = scan.at();
        scan.value()?;
        return Ok(Found::NoObject(kind(&text[start..])));
    }
    let mut found = Found::NoEntry;
    scan.entries(|name, value| {
        let name = unescape(&text[name]).0;
        let behind = path.strip_prefix(name.as_ref());
        let covers = behind.is_some_and(|behind| behind.is_empty() || behind.starts_with('.'));
        let is_longest = !matches!(found, Found::Entry(longest, _) if longest > name.len());
        if covers && is_longest {
            found = Found::Entry(name.len(), value);
        }
    })?;
    Ok(found)
}

/// Maximum number of fields in a message about a missing field.
const NAMED: usize = 20;

/// Returns the field names of an object, for a message.
fn names(object: &str) -> Result<Vec<String>, NotJson> {
    let mut names: Vec<String> = Vec::new();
    Scan::new(object).entries(|name, _| {
        if names.len() < NAMED {
            names.push(format!("`{}`", invisible::shown(clipped(&unescape(&object[name]).0))));
        } else if names.len() == NAMED {
            names.push("and more".to_owned());
        }
    })?;
    Ok(names)
}

/// Cuts a name to 60 characters.
fn clipped(name: &str) -> &str {
    name.char_indices().nth(60).map_or(name, |(end, _)| &name[..end])
}

/// Describes the kind of a valid JSON value.
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
