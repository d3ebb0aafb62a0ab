//! Problems in a text file (workflow or configuration). All of them are reported at once, each with file,
//! line, column, caret and hint.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};

use stepwell_base::visible::{visible, visible_styled};

/// Byte range in the source text.
pub type Span = Range<usize>;

/// One problem. Without a place, it concerns something outside the file, such as `-S name=value`.
#[derive(Clone, Debug)]
pub struct Problem {
    message: String,
    hint: Option<String>,
    label: Option<String>,
    place: Option<Place>,
    source: Arc<NamedSource<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    span: Span,
    line: usize,
    column: usize,
}

impl Problem {
    pub fn message(&self) -> &str {
        &self.message
    }

    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// 1-based line and column; columns count characters.
    pub fn position(&self) -> Option<(usize, usize)> {
        self.place.as_ref().map(|place| (place.line, place.column))
    }

    pub fn hint(&mut self, hint: impl Into<String>) -> &mut Problem {
        self.hint = Some(hint.into());
        self
    }

    /// Sets the text next to the caret.
    pub fn label(&mut self, label: impl Into<String>) -> &mut Problem {
        self.label = Some(label.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.hint.as_ref().map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.place.as_ref().map(|_| &self.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.place.as_ref()?.span.clone();
        let label = LabeledSpan::new_with_span(Some(self.label.clone().unwrap_or_else(|| "here".to_owned())), span);
        Some(Box::new(std::iter::once(label)))
    }
}

const MOST_SHOWN: usize = 10;

/// All problems of one file, in file order; those without a place come last.
#[derive(Clone, Debug)]
pub struct SpecErrors {
    file: String,
    problems: Vec<Problem>,
}

impl SpecErrors {
    pub fn file(&self) -> &str {
        &self.file
    }

    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The first problems only: a longer list helps nobody.
    pub fn first(&self) -> &[Problem] {
        &self.problems[..self.problems.len().min(MOST_SHOWN)]
    }

    /// The only problem, if it is not one of the file but of the params given with it.
    fn only(&self) -> Option<&Problem> {
        match self.problems.as_slice() {
            [one] if one.place.is_none() => Some(one),
            _ => None,
        }
    }

    /// True if something given with the file is wrong, such as a param.
    pub fn is_about_params(&self) -> bool {
        self.problems.iter().any(|problem| problem.place.is_none())
    }

    /// Formats the report for people, `width` columns wide: the first problems with their lines, then a line
    /// with the total.
    pub fn render(&self, color: Color, width: usize) -> String {
        let theme = match color {
            Color::Plain => GraphicalTheme::unicode_nocolor(),
            Color::Ansi => GraphicalTheme::unicode(),
        };
        let handler = GraphicalReportHandler::new_themed(theme).with_width(width).with_links(false);
        let mut report = String::new();
        for problem in self.first() {
            if handler.render_report(&mut report, &WithoutHelp(problem)).is_err() {
                report.push_str(&problem.message);
            }
            if let Some(hint) = &problem.hint {
                report.push_str(&format!("  hint: {hint}\n"));
            }
            report.push('\n');
        }
        match self.problems.len().saturating_sub(MOST_SHOWN) {
            0 => {}
            more => report.push_str(&format!("and {} more\n", grouped(more))),
        }
        if self.only().is_none() {
            report.push_str(&format!("{self}\n"));
        }
        // The file may contain terminal control characters.
        match color {
            Color::Plain => visible(&report).into_owned(),
            Color::Ansi => visible_styled(&report).into_owned(),
        }
    }
}

/// Hides the hint from miette, which would print it as `help`; Stepwell calls it `hint`.
#[derive(Debug)]
struct WithoutHelp<'a>(&'a Problem);

impl fmt::Display for WithoutHelp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for WithoutHelp<'_> {}

impl Diagnostic for WithoutHelp<'_> {
    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.0.source_code()
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.0.labels()
    }
}

/// Selects plain text or ANSI colours for a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Color {
    Plain,
    Ansi,
}

impl fmt::Display for SpecErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(problem) = self.only() {
            return f.write_str(&problem.message);
        }
        match self.problems.as_slice() {
            [_] => write!(f, "`{}` has a problem", self.file),
            problems => write!(f, "`{}` has {} problems", self.file, grouped(problems.len())),
        }
    }
}

impl std::error::Error for SpecErrors {}

impl Diagnostic for SpecErrors {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.problems.iter().map(|problem| problem as &dyn Diagnostic)))
    }
}

/// Formats `6139` as `6,139`.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub struct Problems {
    file: String,
    source: Arc<NamedSource<String>>,
    line_starts: Vec<usize>,
    list: Vec<Problem>,
}

impl Problems {
    /// Converts line ends to line feeds: TOML keeps other line ends, and shells accept only line feeds.
    pub fn new(file: &str, text: &str) -> Problems {
        let text = line_feeds(text);
        let line_starts = std::iter::once(0)
            .chain(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1))
            .collect();
        let source = Arc::new(NamedSource::new(file, text).with_language("toml"));
        Problems { file: file.to_owned(), source, line_starts, list: Vec::new() }
    }

    pub(crate) fn text(&self) -> &str {
        self.source.inner()
    }

    /// 1-based line of a byte offset.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset)
    }

    pub fn at(&mut self, span: &Span, message: impl Into<String>) -> &mut Problem {
        let text = self.source.inner();
        let start = floor_char(text, span.start);
        let line = self.line(start);
        let column = text[self.line_starts[line - 1]..start].chars().count() + 1;
        let span = start..floor_char(text, span.end).max(start);
        self.push(message.into(), Some(Place { span, line, column }))
    }

    /// Adds a problem of something outside of the file.
    pub fn without_place(&mut self, message: impl Into<String>) -> &mut Problem {
        self.push(message.into(), None)
    }

    fn push(&mut self, message: String, place: Option<Place>) -> &mut Problem {
        let index = self.list.len();
        self.list.push(Problem { message, hint: None, label: None, place, source: Arc::clone(&self.source) });
        &mut self.list[index]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Drops the problems found so far, because another one explains them.
    pub(crate) fn clear(&mut self) {
        self.list.clear();
    }

    pub(crate) fn count(&self) -> usize {
        self.list.len()
    }

    /// Returns `value` if there are no problems.
    pub fn finish<T>(mut self, value: T) -> Result<T, SpecErrors> {
        if self.list.is_empty() {
            return Ok(value);
        }
        self.list.sort_by_key(|problem| problem.place.as_ref().map_or(usize::MAX, |place| place.span.start));
        self.list.dedup_by(|a, b| a.place == b.place && a.message == b.message);
        Err(SpecErrors { file: self.file, problems: self.list })
    }
}

pub(crate) fn line_feeds(text: &str) -> String {
    text.replace("\r\n", "\n")
}

/// The largest character boundary that is at most `offset`.
fn floor_char(text: &str, offset: usize) -> usize {
    let mut at = offset.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
