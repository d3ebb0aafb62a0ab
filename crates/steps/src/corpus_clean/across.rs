//! The passes that compare documents with each other, and what they drop.

use std::collections::BTreeMap;

use super::accounts::Reason;
use super::accounts::Sample;
use super::arguments::Arguments;
use super::contamination::{Contamination, Search, shared_words};
use super::divide::Part;
use super::first_pass::{Cleaned, order, unwritable};
use super::near::{self, NearDuplicates};
use super::pipeline::pipeline;
use super::split::Split;
use crate::corpus_documents::{document_files, total_size};
use crate::handler::{StepContext, StepError};
use stepwell_base::failure::Failure;

/// Decides which documents are near-duplicates.
pub fn near_duplicates(arguments: &Arguments, cleaned: &Cleaned) -> Result<NearDuplicates, Failure> {
    let Some(bands) = &cleaned.bands else { return Ok(NearDuplicates::default()) };
    near::decide(bands, arguments.near_duplicates).map_err(|error| unwritable(&error))
}

/// Counts the near-duplicates, with samples, and returns the size of what is left.
pub fn drop_near(
    context: &mut StepContext<'_>,
    cleaned: &mut Cleaned,
    near: &NearDuplicates,
) -> Result<Part, StepError> {
    let mut left = Part { documents: cleaned.file.documents, text_bytes: cleaned.file.text_bytes };
    if near.like.is_empty() {
        return Ok(left);
    }
    let mut reader = cleaned.file.read(|number| near.like.contains_key(&number)).map_err(|error| unwritable(&error))?;
    let tally = &mut cleaned.accounts.tally;
    pipeline(
        context,
        (cleaned.file.file_bytes, "near-duplicates"),
        || reader.next_batch().map_err(|error| unwritable(&error)),
        |entry| Ok((order(blake3::hash(entry.document.text.as_bytes()).as_bytes()), entry)),
        |(hash, entry)| {
            let bytes = entry.document.text.len() as u64;
            left.documents -= 1;
            left.text_bytes -= bytes;
            let (kept, similarity) = near.like.get(&entry.number).copied().unwrap_or_default();
            tally.add(Reason::NearDuplicate, bytes, hash, || {
                let sample = Sample::new(&entry.document.id, &entry.document.text);
                Sample { value: Some(similarity), like_number: Some(kept), ..sample }
            });
            Ok(())
        },
    )?;
    let likes = cleaned.accounts.tally.likes();
    let mut reader = cleaned.file.read(|number| likes.contains(&number)).map_err(|error| unwritable(&error))?;
    let tally = &mut cleaned.accounts.tally;
    pipeline(
        context,
        (cleaned.file.file_bytes, "near-duplicates"),
        || reader.next_batch().map_err(|error| unwritable(&error)),
        |entry| Ok((entry.number, entry.document.id)),
        |(number, id)| {
            tally.name_like(number, &id);
            Ok(())
        },
    )?;
    Ok(left)
}

/// Searches training text that held-out text shares, and counts it, with samples.
pub fn contamination(
    context: &mut StepContext<'_>,
    arguments: &Arguments,
    cleaned: &mut Cleaned,
    split: Split,
    near: &NearDuplicates,
) -> Result<Contamination, StepError> {
    let words = arguments.contamination_words;
    if words == 0 {
        return Ok(Contamination::default());
    }
    let mut evaluation = Vec::new();
    for documents in &arguments.evaluation {
        evaluation.extend(document_files(context.artifacts, documents, None)?);
    }
    let validation_bytes = (cleaned.file.text_bytes as f64 * arguments.validation_fraction) as u64;
    let held_out_bytes = validation_bytes + total_size(&evaluation)?;
    let search = Search { cleaned: &cleaned.file, split, words, evaluation: &evaluation, held_out_bytes };
    let found = search.run(context, |number| !near.like.contains_key(&number))?;
    count(context, cleaned, split, near, &found.documents, words)?;
    Ok(found)
}

fn count(
    context: &mut StepContext<'_>,
    cleaned: &mut Cleaned,
    split: Split,
    near: &NearDuplicates,
    found: &BTreeMap<u32, usize>,
    words: usize,
) -> Result<(), StepError> {
    if found.is_empty() {
        return Ok(());
    }
    // The other documents are read as well: the cut of a split by place depends on them.
    let wanted = |number| !near.like.contains_key(&number);
    let mut reader = cleaned.file.read(wanted).map_err(|error| unwritable(&error))?;
    let tally = &mut cleaned.accounts.tally;
    pipeline(
        context,
        (cleaned.file.file_bytes, "contaminated documents"),
        || reader.next_batch().map_err(|error| unwritable(&error)),
        |entry| {
            let Some(at) = found.get(&entry.number) else { return Ok(None) };
            let (training, _) = split.divide(&entry.document.text, entry.start);
            let sample = Sample { text: shared_words(training, *at, words), ..Sample::new(&entry.document.id, "") };
            let hash = order(blake3::hash(entry.document.text.as_bytes()).as_bytes());
            Ok(Some((hash, training.len() as u64, sample)))
        },
        |dropped| {
            if let Some((hash, bytes, sample)) = dropped {
                tally.add(Reason::Contaminated, bytes, hash, || sample);
            }
            Ok(())
        },
    )
}
