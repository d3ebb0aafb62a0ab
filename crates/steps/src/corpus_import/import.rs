//! Runs one attempt: reads sources and writes documents. Files are read while the items before are written.

use std::io::{BufWriter, Write};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::arguments::Arguments;
use super::findings::{Findings, Kind};
use super::read::{Options, Texts};
use super::remote::Fetched;
use super::sink::Sink;
use super::source::{SourceFile, SourceFiles};
use crate::command::Project;
use crate::corpus_documents::{NDJSON, write_failure, write_line};
use crate::grammar;
use crate::handler::{StepContext, StepError};
use crate::partial::Record;
use stepwell_artifact::ArtifactWriter;
use stepwell_base::artifact::Outputs;
use stepwell_base::failure::Failure;

/// Amount of work at once, and time after which it becomes durable.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Bytes of text that are read while as many are written.
    pub batch_bytes: usize,
    pub save_time: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { batch_bytes: 1 << 20, save_time: Duration::from_secs(5) }
    }
}

pub struct Import<'a, 'b> {
    context: &'a mut StepContext<'b>,
    arguments: &'a Arguments,
    options: Options<'a>,
    pace: Pace,
    record: Record,
    sink: Sink,
    saved: Instant,
    pairs: BufWriter<ArtifactWriter>,
}

impl<'a, 'b> Import<'a, 'b> {
    /// Continues where an earlier attempt with the same files stopped.
    ///
    /// # Errors
    /// When an argument is invalid, or the artifact store cannot be written.
    pub fn new(
        context: &'a mut StepContext<'b>,
        arguments: &'a Arguments,
        findings: Findings,
        fetched: &[Fetched],
        pace: Pace,
    ) -> Result<Self, Failure> {
        let options = arguments.options()?;
        let origins: Vec<&Value> = fetched.iter().map(|fetched| &fetched.origin).collect();
        let record = Record::new(context, "import.json", &json!(origins));
        let sink = Sink::open(context, &record, arguments.on_bad_line, findings)?;
        let pairs = BufWriter::new(context.artifacts.writer(NDJSON)?);
        Ok(Import { context, arguments, options, pace, record, sink, saved: Instant::now(), pairs })
    }

    pub fn grammar(&mut self) -> Result<(), StepError> {
        let (grammar, documents) = (grammar::Grammar::new(self.arguments.seed), self.arguments.documents);
        for pair in grammar.minimal_pairs() {
            write_line(&mut self.pairs, &pair).map_err(|error| write_failure("the minimal pairs", &error))?;
        }
        if self.sink.state.grammar {
            return Ok(());
        }
        for index in 0..documents {
            self.sink.add(&format!("grammar:{index}"), &grammar.document(index))?;
            if index % 64 == 0 {
                // Nothing is saved here: it takes seconds, and is made again from its start.
                self.context.report(index, documents, "documents", format!("{index} documents"))?;
            }
        }
        self.sink.state.grammar = true;
        Ok(())
    }

    /// Reads the files on this machine, which must match the key of this step byte for byte, then those that were
    /// downloaded, whose digests were checked as they arrived.
    pub fn files(&mut self, files: &[SourceFile], fetched: &[Fetched]) -> Result<(), StepError> {
        let expected = self.expected(files)?;
        let all: Vec<&SourceFile> = files.iter().chain(fetched.iter().map(|fetched| &fetched.file)).collect();
        // Totals are sizes on disk: for compressed files the bar runs ahead and stops at the total.
        let sizes: Vec<u64> = all.iter().map(|file| file.path.metadata().map_or(0, |data| data.len())).collect();
        let total = sizes.iter().sum();
        let mut before = 0;
        for (number, (file, size)) in all.iter().zip(&sizes).enumerate() {
            if number >= self.sink.state.files {
                self.report(before, total, "bytes")?;
                let digest = self.file(file, (before, *size, total))?;
                let is_same = expected.get(number).is_none_or(|expected| {
                    digest.is_some_and(|digest| *expected == json!([file.name, digest.to_hex().as_str()]))
                });
                if !is_same || digest.is_none() {
                    self.record.remove();
                    return Err(changed(&format!("corpus source {} changed while it was read", file.shown())).into());
                }
                self.sink.end_file();
            }
            before += size;
        }
        Ok(())
    }

    /// Names and digests of the files on this machine.
    fn expected(&self, files: &[SourceFile]) -> Result<Vec<Value>, Failure> {
        let mut expected = self.context.request.fingerprint.as_array().cloned().unwrap_or_default();
        let remote = self.arguments.remote(Project(&self.context.request.project_dir))?.len();
        expected.truncate(expected.len().saturating_sub(remote));
        if expected.len() == files.len() {
            Ok(expected)
        } else {
            Err(changed("the sources hold other files than a moment before"))
        }
    }

    /// Reads one file and returns its digest, or `None` if it changed meanwhile.
    fn file(
        &mut self,
        file: &SourceFile,
        (before, size, total): (u64, u64, u64),
    ) -> Result<Option<blake3::Hash>, StepError> {
        let mut texts = Texts::open(file, self.options)?;
        let findings = &mut self.sink.state.findings;
        if self.sink.state.items == 0 {
            if texts.is_json_by_its_looks() {
                findings.add(Kind::JsonAsText, || format!("{} (read as text, keys and braces included)", file.shown()));
            }
            if texts.is_doubtful() {
                findings.add(Kind::OtherEncoding, || file.shown());
            }
        }
        self.skip(&mut texts)?;
        let bytes = self.pace.batch_bytes;
        let mut batch = texts.next_batch(bytes);
        loop {
            let is_last = batch.items.is_empty() || batch.failure.is_some();
            let (sink, items) = (&mut self.sink, std::mem::take(&mut batch.items));
            let (taken, next) = rayon::join(|| sink.take(file, items), || (!is_last).then(|| texts.next_batch(bytes)));
            taken?;
            if let Some(failure) = batch.failure {
                return Err(failure.into());
            }
            let Some(next) = next else { return Ok(texts.digest()?) };
            batch = next;
            self.report(before + texts.bytes_read().min(size), total, "bytes")?;
        }
    }

    /// Passes over the items that an earlier attempt has taken. They are part of the digest all the same.
    fn skip(&mut self, texts: &mut Texts<'_>) -> Result<(), StepError> {
        for item in 0..self.sink.state.items {
            if texts.next()?.is_none() {
                self.record.remove();
                return Err(changed("a source has fewer documents than before").into());
            }
            if item % 1024 == 0 {
                self.context.check_interrupt()?;
            }
        }
        Ok(())
    }

    /// Reports progress. Makes it durable from time to time, and when asked to stop.
    fn report(&mut self, done: u64, total: u64, unit: &str) -> Result<(), StepError> {
        let message = format!("{} documents", self.sink.state.documents);
        let reported = self.context.report(done, total, unit, message);
        if self.sink.state.documents > 0 && (reported.is_err() || self.saved.elapsed() >= self.pace.save_time) {
            self.sink.save(&self.record)?;
            self.saved = Instant::now();
        }
        reported
    }

    /// Publishes the documents.
    pub fn finish(self, found: &SourceFiles, fetched: &[Fetched]) -> Result<Outputs, StepError> {
        if self.sink.state.documents == 0 {
            return Err(self.empty().into());
        }
        let state = self.sink.state;
        for line in state.findings.lines() {
            self.context.reporter.note(line);
        }
        let documents = self.sink.out.publish(self.context.artifacts, NDJSON)?;
        let mut pairs = self.pairs.into_inner().map_err(|error| write_failure("minimal_pairs", error.error()))?;
        pairs.flush().map_err(|error| write_failure("minimal_pairs", &error))?;
        let values = json!({
            "documents": state.documents,
            "bytes": state.text_bytes,
            "files": found.files.len() + fetched.len(),
            "skipped_files": found.skipped,
            "blank_texts": state.blank_texts,
            "fetched": fetched.iter().map(|fetched| &fetched.origin).collect::<Vec<_>>(),
        });
        let mut outputs = Outputs::of([("documents", documents), ("minimal_pairs", pairs.finish()?)], values);
        outputs.values.extend(state.findings.values());
        self.record.remove();
        Ok(outputs)
    }

    fn empty(&self) -> Failure {
        let mut message = format!(
            "the corpus is empty: no document with text in {}",
            self.arguments.sources(Project(&self.context.request.project_dir)).join(", ")
        );
        let state = &self.sink.state;
        if !state.invisible.is_empty() {
            message.push_str(&format!("; there are texts of {} only", state.invisible.join(", ")));
        }
        for line in state.findings.lines() {
            message.push_str(&format!("; {line}"));
        }
        Failure::fatal(message).with_hint("name files that hold text; blank files and blank lines make no document")
    }
}

/// Failure for content that differs from the key. The next attempt hashes and reads the new content.
fn changed(what: &str) -> Failure {
    Failure::retryable(format!("{what}, so nothing of it was kept"))
        .with_hint("let whatever writes there finish; the next attempt reads the new content")
}
