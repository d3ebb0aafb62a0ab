//! Reads documents from one file.

use super::bad_line::BadLine;
use super::column::Column;
use super::encoding::Encoding;
use super::json_file::{JsonFile, OBJECT_PER_LINE};
use super::lines::{LineEnds, Lines, too_long};
use crate::corpus_import::json::{Field, Scan};
use crate::corpus_import::source::{Format, SourceFile};
use stepwell_base::failure::Failure;
use stepwell_columns::Layout;

/// Extent of a document in a text file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// The whole file.
    #[default]
    File,
    /// Lines up to the next blank line.
    Paragraph,
}

#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    pub split: Split,
    pub text_field: &'a str,
    /// Column of Parquet and Arrow files.
    pub column: &'a str,
    pub encoding: Encoding,
    /// Maximum size of a document, which bounds the memory.
    pub max_document_bytes: u64,
}

#[derive(Debug)]
pub enum Item {
    Text {
        text: String,
        lone_surrogates: u64,
    },
    /// A text that is only white space.
    Blank(String),
    /// A text field that is null.
    Null {
        place: String,
    },
    Bad(BadLine),
}

/// Items in order, and the failure behind them.
pub struct Batch {
    pub items: Vec<Item>,
    pub failure: Option<Failure>,
}

/// Reads the texts of one file in order.
pub struct Texts<'a> {
    content: Content<'a>,
    options: Options<'a>,
    is_json_by_its_looks: bool,
}

enum Content<'a> {
    Text(Lines<'a>),
    Json(JsonFile<'a>),
    Column(Box<Column<'a>>, Layout),
}

impl<'a> Texts<'a> {
    /// # Errors
    /// When the file cannot be opened, is binary, is in another encoding, or has no such column.
    pub fn open(file: &'a SourceFile, options: Options<'a>) -> Result<Self, Failure> {
        let lines = || Lines::open(file, options.encoding, options.max_document_bytes);
        let content = match file.format {
            Format::Text => Content::Text(lines()?),
            Format::JsonLines | Format::Json => Content::Json(JsonFile::new(lines()?)),
            Format::Parquet => column(file, Layout::Parquet, options)?,
            Format::Arrow => column(file, Layout::Arrow, options)?,
        };
        let is_json_by_its_looks =
            matches!(&content, Content::Text(lines) if looks_like_json(&String::from_utf8_lossy(lines.head())));
        Ok(Texts { content, options, is_json_by_its_looks })
    }

    /// Number of decoded bytes read so far; of a file of columns, the offset in it.
    pub fn bytes_read(&self) -> u64 {
        match &self.content {
            Content::Column(column, _) => column.bytes_read(),
            Content::Text(lines) => lines.bytes_read(),
            Content::Json(file) => file.lines.bytes_read(),
        }
    }

    /// Digest of the stored bytes, once the last item is read; `None` if they changed in the meantime.
    ///
    /// # Errors
    /// When the file cannot be read again.
    pub fn digest(&self) -> Result<Option<blake3::Hash>, Failure> {
        match &self.content {
            Content::Column(column, _) => column.digest(),
            Content::Text(lines) => Ok(Some(lines.digest())),
            Content::Json(file) => Ok(Some(file.lines.digest())),
        }
    }

    pub fn is_json_by_its_looks(&self) -> bool {
        self.is_json_by_its_looks
    }

    /// True if the file looks like UTF-8 although `encoding` differs.
    pub fn is_doubtful(&self) -> bool {
        match &self.content {
            Content::Column(..) => false,
            Content::Text(lines) => lines.is_doubtful(),
            Content::Json(file) => file.lines.is_doubtful(),
        }
    }

    /// Returns the next items, about `bytes` of text, and the failure that ends them; no items and no failure at the end.
    pub fn next_batch(&mut self, bytes: usize) -> Batch {
        let mut batch = Batch { items: Vec::new(), failure: None };
        let mut taken = 0;
        while taken < bytes {
            match self.next() {
                Ok(Some(item)) => {
                    // The extra byte limits a batch of empty items.
                    taken += 1 + if let Item::Text { text, .. } = &item { text.len() } else { 0 };
                    batch.items.push(item);
                }
                Ok(None) => break,
                Err(failure) => {
                    batch.failure = Some(failure);
                    break;
                }
            }
        }
        batch
    }

    /// # Errors
    /// Failures name the file, and the line or byte offset of the problem.
    pub fn next(&mut self) -> Result<Option<Item>, Failure> {
        let text = match &mut self.content {
            Content::Json(file) => return json_item(file, self.options.text_field),
            Content::Column(column, layout) => return column.next(*layout),
            Content::Text(lines) => match self.options.split {
                Split::File => whole_file(lines, self.options.max_document_bytes)?,
                Split::Paragraph => paragraph(lines, self.options.max_document_bytes)?,
            },
        };
        Ok(text.map(|text| item(text, 0)))
    }
}

fn column<'a>(file: &'a SourceFile, layout: Layout, options: Options<'_>) -> Result<Content<'a>, Failure> {
    Column::open(file, layout, options).map(|column| Content::Column(Box::new(column), layout))
}

pub fn item(text: String, lone_surrogates: u64) -> Item {
    if text.trim().is_empty() { Item::Blank(text) } else { Item::Text { text, lone_surrogates } }
}

fn whole_file(lines: &mut Lines<'_>, max_bytes: u64) -> Result<Option<String>, Failure> {
    let mut text = String::new();
    let mut any = false;
    while let Some(line) = text_line(lines, LineEnds::LineFeed)? {
        text.push_str(line);
        any = true;
        if text.len() as u64 > max_bytes {
            return Err(too_long(lines.file(), 1, max_bytes));
        }
    }
    Ok(any.then_some(text))
}

fn paragraph(lines: &mut Lines<'_>, max_bytes: u64) -> Result<Option<String>, Failure> {
    let mut text = String::new();
    let mut is_begun = false;
    while let Some(line) = text_line(lines, LineEnds::Any)? {
        if !line.trim().is_empty() {
            if is_begun {
                text.push('\n');
            }
            text.push_str(line);
            is_begun = true;
        } else if is_begun {
            break;
        }
        if text.len() as u64 > max_bytes {
            return Err(too_long(lines.file(), 1, max_bytes));
        }
    }
    Ok(is_begun.then_some(text))
}

/// Reads a line of a text file; any bad line fails.
fn text_line<'l>(lines: &'l mut Lines<'_>, ends: LineEnds) -> Result<Option<&'l str>, Failure> {
    match lines.next(ends)? {
        None => Ok(None),
        Some(Ok(line)) => Ok(Some(line)),
        Some(Err(bad)) => Err(bad.refusal()),
    }
}

fn json_item(file: &mut JsonFile<'_>, text_field: &str) -> Result<Option<Item>, Failure> {
    let Some(value) = file.next(text_field)? else { return Ok(None) };
    let bad = |what: String, hint: &str| Item::Bad(BadLine { place: file.place(), what, hint: hint.to_owned() });
    Ok(Some(match value {
        Err(bad) => Item::Bad(bad),
        Ok(Field::Text { text, lone_surrogates }) => item(text, lone_surrogates),
        Ok(Field::Null) => Item::Null { place: file.place() },
        Ok(Field::Other { path, is }) if path.is_empty() => {
            bad(format!("expected a JSON object, found {is}"), OBJECT_PER_LINE)
        }
        Ok(Field::Other { path, is }) if path == text_field => {
            bad(format!("field `{path}` is {is}, not text"), "name the field that holds the text with `text_field`")
        }
        Ok(Field::Other { path, is }) => bad(
            format!("field `{path}` is {is}, so there is no field `{text_field}`"),
            "a `text_field` with dots leads through objects only",
        ),
        Ok(Field::Missing { path, fields }) => {
            let found = if fields.is_empty() { "none".to_owned() } else { fields.join(", ") };
            let place = if path.is_empty() { "here".to_owned() } else { format!("of `{path}`") };
            bad(
                format!("no field `{text_field}`; fields {place}: {found}"),
                "name the field that holds the text with `text_field`; `outer.inner` leads into an object",
            )
        }
    }))
}

/// True if text starts like JSON lines or an array of objects.
fn looks_like_json(text: &str) -> bool {
    let text = text.trim_start();
    let text = text.strip_prefix('[').unwrap_or(text);
    let Some(object) = text.trim_start().strip_prefix('{') else { return false };
    Scan::new(object).key().is_ok()
}
