//! Runs one attempt: reads sources and writes documents.

use std::io::{BufWriter, Write};

use serde_json::json;

use super::arguments::{Arguments, OnBadLine};
use super::findings::{Findings, Kind};
use super::read::{Item, Options, Texts};
use super::remote::Fetched;
use super::source::{SourceFile, SourceFiles};
use crate::command::Project;
use crate::corpus_documents::{Document, NDJSON, write_document, write_failure, write_line};
use crate::grammar;
use crate::handler::{StepContext, StepError};
use crate::invisible;
use stepwell_artifact::ArtifactWriter;
use stepwell_base::artifact::{ArtifactRef, Outputs};
use stepwell_base::failure::Failure;

pub struct Import<'a, 'b> {
    context: &'a mut StepContext<'b>,
    arguments: &'a Arguments,
    options: Options<'a>,
    documents: BufWriter<ArtifactWriter>,
    pairs: BufWriter<ArtifactWriter>,
    document_count: u64,
    text_bytes: u64,
    blank_texts: u64,
    /// Names of the invisible characters in a text that has no others.
    invisible: Vec<String>,
    findings: Findings,
}

impl<'a, 'b> Import<'a, 'b> {
    /// # Errors
    /// When an argument is invalid, or the artifact store cannot be written.
    pub fn new(
        context: &'a mut StepContext<'b>,
        arguments: &'a Arguments,
        findings: Findings,
    ) -> Result<Self, Failure> {
        let options = arguments.options()?;
        let documents = BufWriter::new(context.artifacts.writer(NDJSON)?);
        let pairs = BufWriter::new(context.artifacts.writer(NDJSON)?);
        let (document_count, text_bytes, blank_texts, invisible) = (0, 0, 0, Vec::new());
        Ok(Import {
            context,
            arguments,
            options,
            documents,
            pairs,
            document_count,
            text_bytes,
            blank_texts,
            invisible,
            findings,
        })
    }

    pub fn grammar(&mut self) -> Result<(), StepError> {
        let (grammar, documents) = (grammar::Grammar::new(self.arguments.seed), self.arguments.documents);
        for index in 0..documents {
            let text = grammar.document(index);
            self.add(Document { id: format!("grammar:{index}"), text })?;
            if index % 64 == 0 {
                self.report(index, documents, "documents")?;
            }
        }
        for pair in grammar.minimal_pairs() {
            write_line(&mut self.pairs, &pair).map_err(|error| write_failure("the minimal pairs", &error))?;
        }
        Ok(())
    }

    /// Reads the files, which must match the key of this step byte for byte.
    pub fn files(&mut self, files: &[SourceFile]) -> Result<(), StepError> {
        // Totals are sizes on disk: for compressed files the bar runs ahead and stops at the total.
        let sizes: Vec<u64> = files.iter().map(|file| file.path.metadata().map_or(0, |data| data.len())).collect();
        let total = sizes.iter().sum();
        let mut expected = self.context.request.fingerprint.as_array().cloned().unwrap_or_default();
        expected.truncate(
            expected.len().saturating_sub(self.arguments.remote(Project(&self.context.request.project_dir))?.len()),
        );
        if expected.len() != files.len() {
            return Err(changed("the sources hold other files than a moment before").into());
        }
        let mut before = 0;
        for ((file, size), expected) in files.iter().zip(&sizes).zip(&expected) {
            self.report(before, total, "bytes")?;
            let digest = self.file(file, (before, *size, total))?;
            if *expected != json!([file.name, digest.to_hex().as_str()]) {
                return Err(changed(&format!("corpus source {} changed while it was read", file.shown())).into());
            }
            before += size;
        }
        Ok(())
    }

    /// Reads downloaded files, whose digests were checked as they arrived.
    pub fn fetched(&mut self, fetched: &[Fetched]) -> Result<(), StepError> {
        let size = |file: &SourceFile| file.path.metadata().map_or(0, |data| data.len());
        let total = fetched.iter().map(|fetched| size(&fetched.file)).sum();
        let mut before = 0;
        for Fetched { file, .. } in fetched {
            self.file(file, (before, size(file), total))?;
            before += size(file);
        }
        Ok(())
    }

    /// Reads one file and returns its digest.
    fn file(&mut self, file: &SourceFile, (before, size, total): (u64, u64, u64)) -> Result<blake3::Hash, StepError> {
        let mut texts = Texts::open(file, self.options)?;
        if texts.is_json_by_its_looks() {
            self.findings
                .add(Kind::JsonAsText, || format!("{} (read as text, keys and braces included)", file.shown()));
        }
        if texts.is_doubtful() {
            self.findings.add(Kind::OtherEncoding, || file.shown());
        }
        let (mut reported, mut number) = (0, 0);
        while let Some(item) = texts.next()? {
            match item {
                Item::Text { text, lone_surrogates } => {
                    let id = format!("{}:{number}", file.name);
                    if lone_surrogates > 0 {
                        self.findings.add(Kind::LoneSurrogate, || format!("document {id}"));
                    }
                    self.add(Document { id, text })?;
                    number += 1;
                }
                Item::Blank(text) => self.blank(&text),
                Item::Null { place } => self.findings.add(Kind::NullText, || place),
                Item::Bad(bad) if self.arguments.on_bad_line == OnBadLine::Skip => {
                    self.findings.add(Kind::BadLine, || bad.shown());
                }
                Item::Bad(bad) => return Err(bad.refusal_with_skip().into()),
            }
            if texts.bytes_read() - reported >= 1 << 20 {
                reported = texts.bytes_read();
                self.report(before + reported.min(size), total, "bytes")?;
            }
        }
        Ok(texts.digest())
    }

    fn add(&mut self, document: Document) -> Result<(), Failure> {
        self.document_count += 1;
        self.text_bytes += document.text.len() as u64;
        write_document(&mut self.documents, &document).map_err(|error| write_failure("the documents", &error))?;
        Ok(())
    }

    fn blank(&mut self, text: &str) {
        self.blank_texts += 1;
        if self.invisible.is_empty() {
            self.invisible = invisible::names_in([text]);
        }
    }

    fn report(&mut self, done: u64, total: u64, unit: &str) -> Result<(), StepError> {
        self.context.report(done, total, unit, format!("{} documents", self.document_count))
    }

    /// Publishes the documents.
    pub fn finish(self, found: &SourceFiles, fetched: &[Fetched]) -> Result<Outputs, StepError> {
        if self.document_count == 0 {
            return Err(self.empty().into());
        }
        for line in self.findings.lines() {
            self.context.reporter.note(line);
        }
        let [documents, pairs] = [("documents", self.documents), ("minimal_pairs", self.pairs)].map(publish);
        let values = json!({
            "documents": self.document_count,
            "bytes": self.text_bytes,
            "files": found.files.len() + fetched.len(),
            "skipped_files": found.skipped,
            "blank_texts": self.blank_texts,
            "fetched": fetched.iter().map(|fetched| &fetched.origin).collect::<Vec<_>>(),
        });
        let mut outputs = Outputs::of([("documents", documents?), ("minimal_pairs", pairs?)], values);
        outputs.values.extend(self.findings.values());
        Ok(outputs)
    }

    fn empty(&self) -> Failure {
        let mut message = format!(
            "the corpus is empty: no document with text in {}",
            self.arguments.sources(Project(&self.context.request.project_dir)).join(", ")
        );
        if !self.invisible.is_empty() {
            message.push_str(&format!("; there are texts of {} only", self.invisible.join(", ")));
        }
        for line in self.findings.lines() {
            message.push_str(&format!("; {line}"));
        }
        Failure::fatal(message).with_hint("name files that hold text; blank files and blank lines make no document")
    }
}

fn publish((name, writer): (&str, BufWriter<ArtifactWriter>)) -> Result<ArtifactRef, Failure> {
    let mut writer = writer.into_inner().map_err(|error| write_failure(name, error.error()))?;
    writer.flush().map_err(|error| write_failure(name, &error))?;
    Ok(writer.finish()?)
}

/// Failure for content that differs from the key. The next attempt hashes and reads the new content.
fn changed(what: &str) -> Failure {
    Failure::retryable(format!("{what}, so nothing of it was kept"))
        .with_hint("let whatever writes there finish; the next attempt reads the new content")
}
