//! Likelihood of documents, one record each.

use std::collections::BTreeMap;

use crate::corpus_documents::{Document, DocumentReader, document_files};
use crate::evaluation::Progress;
use crate::evaluation::outcome::{Record, Tally, score};
use crate::evaluation::scoring::{Scorer, Sequence, windows};
use crate::evaluation::tasks::digest_of;
use crate::handler::{StepContext, StepError};
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::failure::Failure;

/// Windows that are computed together.
const AT_ONCE: usize = 16;

/// Measures the documents of a source that have no record yet.
///
/// # Errors
/// When a document cannot be read or has no tokens of this model; those of the model, and of checkpoints.
pub fn measure(
    context: &mut StepContext<'_>,
    (name, documents): (&str, &ArtifactRef),
    scorer: &mut impl Scorer,
    progress: &mut Progress,
) -> Result<(), StepError> {
    let done = progress.done(name);
    each(context, (name, documents), scorer, done, |context, records| progress.add(context, &records))
}

/// Measures all documents of a source, for a baseline.
///
/// # Errors
/// As [`measure`].
pub fn tally(
    context: &mut StepContext<'_>,
    source: (&str, &ArtifactRef),
    scorer: &mut impl Scorer,
) -> Result<Tally, StepError> {
    let mut tally = Tally::default();
    each(context, source, scorer, 0, |_, records| {
        records.iter().for_each(|record| tally.add(record));
        Ok(())
    })?;
    Ok(tally)
}

fn each<'c>(
    context: &mut StepContext<'c>,
    (name, documents): (&str, &ArtifactRef),
    scorer: &mut impl Scorer,
    mut done: u64,
    mut measured: impl FnMut(&mut StepContext<'c>, Vec<Record>) -> Result<(), StepError>,
) -> Result<(), StepError> {
    let files = document_files(context.artifacts, documents, None)?;
    let total = count(files.clone())?;
    let mut reader = DocumentReader::new(files);
    reader.skip_documents(done)?;
    let mut waiting: Vec<(Record, usize)> = Vec::new();
    let mut sequences: Vec<Sequence> = Vec::new();
    loop {
        let document = reader.next_document()?;
        if let Some(document) = &document {
            done += 1;
            let tokens = scorer
                .encode(&document.text)
                .map_err(|failure| Failure::fatal(format!("document {}: {}", document.id, failure.message)))?;
            let windows = windows(&tokens, scorer.window());
            waiting.push((record(name, done, document, tokens.len()), windows.len()));
            sequences.extend(windows);
        }
        if sequences.len() >= AT_ONCE || document.is_none() {
            let mut nats = scorer.score(context, std::mem::take(&mut sequences))?.into_iter();
            let filled: Vec<Record> =
                waiting.drain(..).map(|(record, windows)| fill(record, nats.by_ref().take(windows))).collect();
            measured(context, filled)?;
            context.report(done, total, "documents", name)?;
        }
        if document.is_none() {
            return Ok(());
        }
    }
}

fn count(files: Vec<std::path::PathBuf>) -> Result<u64, Failure> {
    let mut reader = DocumentReader::new(files);
    let mut total = 0;
    while reader.next_document()?.is_some() {
        total += 1;
    }
    Ok(total)
}

fn record(source: &str, number: u64, document: &Document, tokens: usize) -> Record {
    Record {
        task: source.to_owned(),
        item: number,
        group: None,
        digest: digest_of(&[&document.text]),
        scores: BTreeMap::from([
            (score::TOKENS.to_owned(), tokens.saturating_sub(1) as f64),
            (score::BYTES.to_owned(), document.text.len() as f64),
        ]),
        nats: Vec::new(),
        answer: None,
    }
}

fn fill(mut record: Record, nats: impl Iterator<Item = f64>) -> Record {
    record.scores.insert(score::NATS.to_owned(), nats.sum());
    record
}
