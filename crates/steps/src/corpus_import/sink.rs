//! Takes the items of files and writes documents. All that a later attempt needs to continue is in its state.

use serde::{Deserialize, Serialize};

use super::arguments::OnBadLine;
use super::findings::{Findings, Kind};
use super::read::Item;
use super::source::SourceFile;
use crate::corpus_documents::{append_document, write_failure};
use crate::handler::StepContext;
use crate::invisible;
use crate::partial::{FileState, GrowingFile, Record};
use stepwell_base::failure::Failure;

/// The growing file of documents.
const DOCUMENTS: &str = "documents.partial";

/// What is imported so far.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
pub struct State {
    /// True once the documents of `builtin:grammar` are written.
    pub grammar: bool,
    /// Number of complete files.
    pub files: usize,
    /// Items that were taken from the next file, and the documents made of them.
    pub items: u64,
    number: u64,
    pub documents: u64,
    pub text_bytes: u64,
    pub blank_texts: u64,
    /// Names of the invisible characters in a text that has no others.
    pub invisible: Vec<String>,
    pub findings: Findings,
    file: FileState,
}

pub struct Sink {
    pub state: State,
    pub out: GrowingFile,
    on_bad_line: OnBadLine,
    lines: Vec<u8>,
}

impl Sink {
    /// Continues where the record says, or starts over. `findings` are those of the search for files.
    ///
    /// # Errors
    /// When the scratch directory cannot be written.
    pub fn open(
        context: &mut StepContext<'_>,
        record: &Record,
        on_bad_line: OnBadLine,
        findings: Findings,
    ) -> Result<Sink, Failure> {
        let path = context.scratch().join(DOCUMENTS);
        if let Some(state) = record.load::<State>() {
            match GrowingFile::resume(&path, &state.file) {
                Ok(out) => {
                    context.reporter.note(format!("resumes after {} documents", state.documents));
                    return Ok(Sink { state, out, on_bad_line, lines: Vec::new() });
                }
                Err(error) => context.reporter.note(format!("the import starts over: {error}")),
            }
        }
        let out = GrowingFile::create(&path).map_err(|error| write_failure("the documents", &error))?;
        Ok(Sink { state: State { findings, ..State::default() }, out, on_bad_line, lines: Vec::new() })
    }

    /// Makes everything durable that was taken.
    pub fn save(&mut self, record: &Record) -> Result<(), Failure> {
        let mut save = || {
            self.state.file = self.out.sync()?;
            record.save(&self.state)
        };
        save().map_err(|error| write_failure("the documents", &error))
    }

    /// Takes the next items of a file.
    ///
    /// # Errors
    /// A bad line, unless such lines are skipped.
    pub fn take(&mut self, file: &SourceFile, items: Vec<Item>) -> Result<(), Failure> {
        self.lines.clear();
        let taken = items.into_iter().try_for_each(|item| self.item(file, item));
        self.flush()?;
        taken
    }

    fn item(&mut self, file: &SourceFile, item: Item) -> Result<(), Failure> {
        match item {
            Item::Text { text, lone_surrogates } => {
                let id = format!("{}:{}", file.name, self.state.number);
                if lone_surrogates > 0 {
                    self.state.findings.add(Kind::LoneSurrogate, || format!("document {id}"));
                }
                self.line(&id, &text)?;
                self.state.number += 1;
            }
            Item::Blank(text) => self.blank(&text),
            Item::Null { place } => self.state.findings.add(Kind::NullText, || place),
            Item::Bad(bad) if self.on_bad_line == OnBadLine::Skip => {
                self.state.findings.add(Kind::BadLine, || bad.shown());
            }
            Item::Bad(bad) => return Err(bad.refusal_with_skip()),
        }
        self.state.items += 1;
        Ok(())
    }

    /// Adds a document that is in no file.
    pub fn add(&mut self, id: &str, text: &str) -> Result<(), Failure> {
        self.lines.clear();
        self.line(id, text)?;
        self.flush()
    }

    fn line(&mut self, id: &str, text: &str) -> Result<(), Failure> {
        self.state.documents += 1;
        self.state.text_bytes += text.len() as u64;
        append_document(&mut self.lines, id, text).map_err(|error| write_failure("the documents", &error))
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.out.append(&self.lines).map_err(|error| write_failure("the documents", &error))
    }

    fn blank(&mut self, text: &str) {
        self.state.blank_texts += 1;
        if self.state.invisible.is_empty() {
            self.state.invisible = invisible::names_in([text]);
        }
    }

    /// The file is complete.
    pub fn end_file(&mut self) {
        self.state.files += 1;
        (self.state.items, self.state.number) = (0, 0);
    }
}
