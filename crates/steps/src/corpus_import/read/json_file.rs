//! Reads JSON files: lines, an array, or objects over several lines.

use super::bad_line::BadLine;
use super::lines::{LineEnds, Lines};
use crate::corpus_import::json::{Field, Frame, Scan, field};
use crate::corpus_import::source::Format;
use stepwell_base::failure::Failure;

pub struct JsonFile<'a> {
    pub lines: Lines<'a>,
    shape: Shape,
    /// Line where the last value starts.
    line: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shape {
    /// One value per line.
    Lines,
    /// A sequence of values, each over any number of lines.
    Values,
    /// Elements of one array, with the number read so far.
    Array(u64),
    /// The array has ended, after this many elements.
    Ended(u64),
}

pub const OBJECT_PER_LINE: &str = "a JSON file holds one object per line, or one array of objects";

impl<'a> JsonFile<'a> {
    pub fn new(lines: Lines<'a>) -> Self {
        let shape = shape(lines.head(), lines.file().format);
        JsonFile { lines, shape, line: 0 }
    }

    /// Returns the place where the last value starts.
    pub fn place(&self) -> String {
        let place = self.lines.place(self.line);
        match self.shape {
            Shape::Lines | Shape::Values => place,
            Shape::Array(count) | Shape::Ended(count) => format!("{place}, element {count}"),
        }
    }

    /// Returns the text field of the next value, or the reason why it has none.
    ///
    /// # Errors
    /// When the rest of the file cannot be read.
    pub fn next(&mut self, text_field: &str) -> Result<Option<Result<Field, BadLine>>, Failure> {
        let read = match self.shape {
            Shape::Lines => self.next_line(text_field)?,
            Shape::Ended(_) => None,
            Shape::Values if self.lines.peek_value()?.is_none() => None,
            Shape::Values => Some(self.value(text_field)?),
            Shape::Array(count) => {
                if self.advance(count)? {
                    self.shape = Shape::Array(count + 1);
                    Some(self.value(text_field)?)
                } else {
                    None
                }
            }
        };
        Ok(read.map(|read| read.map_err(|(what, hint)| self.bad(what, hint))))
    }

    fn next_line(&mut self, text_field: &str) -> Result<Option<Read>, Failure> {
        loop {
            let read = match self.lines.next(LineEnds::Any)? {
                None => return Ok(None),
                Some(Ok(line)) if line.trim().is_empty() => continue,
                Some(Ok(line)) => read(line, text_field),
                Some(Err(bad)) => Err((bad.what, bad.hint)),
            };
            self.line = self.lines.number();
            return Ok(Some(read));
        }
    }

    fn value(&mut self, text_field: &str) -> Result<Read, Failure> {
        self.line = self.lines.number();
        Ok(match self.lines.value(&mut Frame::default())? {
            Ok(text) => read(text, text_field),
            Err(bad) => Err((bad.what, bad.hint)),
        })
    }

    /// Moves to the next element of the array; false after the last one.
    fn advance(&mut self, count: u64) -> Result<bool, Failure> {
        let mut next = self.lines.peek_value()?;
        if count == 0 {
            // Skip the `[` that revealed the shape.
            self.lines.pass_byte();
            next = self.lines.peek_value()?;
        } else if next == Some(b',') {
            self.lines.pass_byte();
            return match self.lines.peek_value()? {
                Some(b',' | b']' | b'}') => Err(self.broken("an element is missing behind a `,`")),
                None => Err(self.broken("the file ends in the middle of the array")),
                Some(_) => Ok(true),
            };
        }
        match next {
            None => Err(self.broken("the file ends in the middle of the array")),
            Some(b']') => {
                self.lines.pass_byte();
                self.shape = Shape::Ended(count);
                match self.lines.peek_value()? {
                    None => Ok(false),
                    Some(_) => Err(self.broken("there is more behind the end of the array")),
                }
            }
            Some(_) if count > 0 => Err(self.broken("`,` or `]` is missing behind an element")),
            Some(_) => Ok(true),
        }
    }

    /// Failure for an array that is broken from here on.
    fn broken(&mut self, what: &str) -> Failure {
        self.line = self.lines.number();
        let hint = "repair the file there; `jq -c '.[]'` makes JSON lines of an array";
        self.bad(format!("not valid JSON: {what}"), hint.to_owned()).refusal()
    }

    fn bad(&self, what: String, hint: String) -> BadLine {
        BadLine { place: self.place(), what, hint }
    }
}

/// A field, or the problem and a hint.
type Read = Result<Field, (String, String)>;

fn read(text: &str, text_field: &str) -> Read {
    field(text, text_field).map_err(|error| {
        (format!("not valid JSON at column {}: {}", error.at + 1, error.what), OBJECT_PER_LINE.to_owned())
    })
}

/// Detects the layout of values from the first bytes of the file.
fn shape(head: &[u8], format: Format) -> Shape {
    let head = String::from_utf8_lossy(head);
    let text = head.trim_start_matches([' ', '\t', '\n', '\r']);
    if let Some(inside) = text.strip_prefix('[') {
        let inside = inside.trim_start_matches([' ', '\t']);
        // A list in a JSON lines file is a bad line; an array of objects is a file format.
        let is_array = format == Format::Json || inside.starts_with(['{', '\n', '\r']);
        return if is_array { Shape::Array(0) } else { Shape::Lines };
    }
    let first = text.split(['\n', '\r']).next().unwrap_or_default();
    let mut scan = Scan::new(first);
    let goes_on = scan.value().is_err_and(|error| error.ends_early) && first.len() < text.len();
    if format == Format::Json && goes_on { Shape::Values } else { Shape::Lines }
}
