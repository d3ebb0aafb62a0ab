//! Documents out of one file: checked UTF-8 lines, put together to texts.

use std::io::BufRead;

use serde_json::Value;

use super::decode::{self, read_failure};
use super::sources::{Format, SourceFile};
use crate::core::failure::Failure;

/// What one document of a text file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// The whole file.
    #[default]
    File,
    /// Lines up to the next blank line.
    Paragraph,
}

/// Reads the texts of one file in order. Texts of white space only are passed over.
pub struct Texts<'a> {
    lines: Lines<'a>,
    split: Split,
    text_field: &'a str,
}

impl<'a> Texts<'a> {
    /// # Errors
    /// When the file cannot be opened or is binary.
    pub fn open(file: &'a SourceFile, split: Split, text_field: &'a str) -> Result<Self, Failure> {
        Ok(Texts { lines: Lines::open(file)?, split, text_field })
    }

    /// Decompressed bytes read so far.
    pub fn bytes_read(&self) -> u64 {
        self.lines.offset
    }

    /// # Errors
    /// Names the file, the line and the byte offset of what is wrong.
    pub fn next_text(&mut self) -> Result<Option<String>, Failure> {
        loop {
            let text = match (self.lines.file.format, self.split) {
                (Format::JsonLines, _) => self.json_line()?,
                (Format::Text, Split::File) => self.whole_file()?,
                (Format::Text, Split::Paragraph) => self.paragraph()?,
            };
            match text {
                Some(text) if text.trim().is_empty() => {}
                text => return Ok(text),
            }
        }
    }

    fn whole_file(&mut self) -> Result<Option<String>, Failure> {
        let mut text = String::new();
        let mut any = false;
        while let Some(line) = self.lines.next()? {
            text.push_str(line);
            any = true;
        }
        Ok(any.then_some(text))
    }

    fn paragraph(&mut self) -> Result<Option<String>, Failure> {
        let mut text = String::new();
        while let Some(line) = self.lines.next()? {
            let line = line.trim_end_matches(['\n', '\r']);
            if !line.trim().is_empty() {
                if !text.is_empty() {
                    text.push('\n');
                }
                text.push_str(line);
            } else if !text.is_empty() {
                break;
            }
        }
        Ok((!text.is_empty()).then_some(text))
    }

    fn json_line(&mut self) -> Result<Option<String>, Failure> {
        let value: Value = loop {
            let Some(line) = self.lines.next()? else { return Ok(None) };
            if !line.trim().is_empty() {
                let parsed = serde_json::from_str(line);
                break parsed.map_err(|error| {
                    let message = format!("{}: not valid JSON: {error}", self.place());
                    Failure::fatal(message).with_hint("a .jsonl file holds one JSON object per line")
                })?;
            }
        };
        let Value::Object(mut object) = value else {
            let message = format!("{}: expected a JSON object, found {}", self.place(), type_name(&value));
            return Err(Failure::fatal(message).with_hint("a .jsonl file holds one JSON object per line"));
        };
        let field = self.text_field;
        match object.remove(field) {
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => {
                let message = format!("{}: field `{field}` is {}, not text", self.place(), type_name(&other));
                Err(Failure::fatal(message).with_hint("name the field that holds the text with `text_field`"))
            }
            None => {
                let fields: Vec<String> = object.keys().map(|key| format!("`{key}`")).collect();
                let found = if fields.is_empty() { "none".to_owned() } else { fields.join(", ") };
                Err(Failure::fatal(format!("{}: no field `{field}`; fields here: {found}", self.place()))
                    .with_hint("name the field that holds the text with `text_field`"))
            }
        }
    }

    fn place(&self) -> String {
        format!("{}:{}", self.lines.file.path.display(), self.lines.number)
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Lines of valid UTF-8 without NUL bytes, each with its line break. No character spans a line break, so lines
/// can be checked one by one.
struct Lines<'a> {
    file: &'a SourceFile,
    reader: Box<dyn BufRead>,
    line: Vec<u8>,
    /// 1-based number of the line read last.
    number: u64,
    /// Decompressed bytes read.
    offset: u64,
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

impl<'a> Lines<'a> {
    fn open(file: &'a SourceFile) -> Result<Self, Failure> {
        let mut reader = decode::open(file)?;
        let head = reader.fill_buf().map_err(|error| read_failure(file, &error))?;
        if head.starts_with(b"\xFF\xFE") || head.starts_with(b"\xFE\xFF") {
            let path = file.path.display();
            return Err(Failure::fatal(format!("{path} is UTF-16, not UTF-8"))
                .with_hint(format!("convert it: iconv -f UTF-16 -t UTF-8 {path}")));
        }
        // A NUL early on tells a picture or a program from a text with one bad byte.
        if let Some(at) = head[..head.len().min(8192)].iter().position(|byte| *byte == 0) {
            return Err(binary(file, at as u64));
        }
        Ok(Lines { file, reader, line: Vec::new(), number: 0, offset: 0 })
    }

    fn next(&mut self) -> Result<Option<&str>, Failure> {
        self.line.clear();
        let read = self.reader.read_until(b'\n', &mut self.line).map_err(|error| read_failure(self.file, &error))?;
        if read == 0 {
            return Ok(None);
        }
        let start = self.offset;
        self.offset += read as u64;
        self.number += 1;
        if let Some(at) = self.line.iter().position(|byte| *byte == 0) {
            return Err(binary(self.file, start + at as u64));
        }
        let skip = if start == 0 && self.line.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        match std::str::from_utf8(&self.line[skip..]) {
            Ok(line) => Ok(Some(line)),
            Err(error) => {
                let at = start + (skip + error.valid_up_to()) as u64;
                let path = self.file.path.display();
                Err(Failure::fatal(format!("{path}:{}: invalid UTF-8 at byte offset {at}", self.number))
                    .with_hint(format!("convert it, for example from Latin-1: iconv -f LATIN1 -t UTF-8 {path}")))
            }
        }
    }
}

fn binary(file: &SourceFile, at: u64) -> Failure {
    let message = format!("{} is a binary file: NUL byte at byte offset {at}", file.path.display());
    Failure::fatal(message)
        .with_hint("only UTF-8 text can be imported; leave the file out, or convert it to text first")
}
