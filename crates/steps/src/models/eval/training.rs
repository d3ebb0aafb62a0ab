//! What the training text tells: counts for the baselines, and which sequences of samples are new.

use super::documents;
use crate::corpus_documents::{DocumentReader, document_files, total_size};
use crate::evaluation::outcome::{TaskReport, score_counts};
use crate::evaluation::samples::Novelty;
use crate::evaluation::scoring::{Counts, Order, Scorer};
use crate::evaluation::tasks::Task;
use crate::handler::{StepContext, StepError};
use crate::trigram::Trigram;
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::failure::Failure;

/// Bytes of the training text between two reports.
const REPORT_EVERY: u64 = 1 << 20;

/// Reads the training text once: counts its first `most` tokens, and shows all of it to `novelty`. Without novelty, the rest
/// is not read.
///
/// # Errors
/// When a document cannot be read, or has no tokens of this model.
pub fn read(
    context: &mut StepContext<'_>,
    training: &[ArtifactRef],
    most: u64,
    scorer: &impl Scorer,
    vocab: u32,
    novelty: &mut [(&'static str, Novelty)],
) -> Result<Trigram, StepError> {
    let mut counts = Trigram::new(vocab);
    let mut counted = 0;
    for documents in training {
        let files = document_files(context.artifacts, documents, None)?;
        let total = total_size(&files)?;
        let mut reader = DocumentReader::new(files);
        let mut reported = 0;
        while let Some(document) = reader.next_document()? {
            if reader.bytes_read() - reported >= REPORT_EVERY {
                reported = reader.bytes_read();
                context.report(reported, total, "bytes", "training text")?;
            }
            let tokens = scorer
                .encode(&document.text)
                .map_err(|failure| Failure::fatal(format!("document {}: {}", document.id, failure.message)))?;
            if counted == 0 || counted + tokens.len() as u64 <= most {
                counts.train(&tokens);
                counted += tokens.len() as u64;
            } else if novelty.is_empty() {
                return Ok(counts);
            }
            novelty.iter_mut().for_each(|(_, novelty)| novelty.see(&tokens));
        }
    }
    Ok(counts)
}

/// Adds to each report what counts reach on the same items. Counts write no answers, so generated tasks have no baseline.
///
/// # Errors
/// Those of the documents.
pub fn add_baselines<'a>(
    context: &mut StepContext<'_>,
    reports: &mut [TaskReport],
    counts: &Trigram,
    scorer: &impl Scorer,
    sources: impl Iterator<Item = (&'a str, &'a ArtifactRef)> + Clone,
    tasks: &[Task],
) -> Result<(), StepError> {
    for order in Order::ALL {
        let mut judge = Counts { counts, order, model: scorer };
        for report in reports.iter_mut() {
            let source = sources.clone().find(|(name, _)| *name == report.name);
            let task = tasks.iter().find(|task| task.name() == report.name);
            let tally = match (source, task) {
                (Some(source), _) => Some(documents::tally(context, source, &mut judge)?),
                (None, Some(task)) => score_counts(context, task, &mut judge)?,
                (None, None) => None,
            };
            if let Some(tally) = tally {
                report.add_baseline(order.name(), &tally);
            }
        }
    }
    Ok(())
}
