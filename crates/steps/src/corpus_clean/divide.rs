//! The last pass: divides the documents that are left into training shards and validation.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};

use super::arguments::{Arguments, Validation};
use super::first_pass::Cleaned;
use super::pipeline::pipeline;
use super::shards::{Shards, finish};
use super::split::Split;
use crate::corpus_documents::{Document, NDJSON, write_document, write_failure};
use crate::handler::{StepContext, StepError};
use stepwell_base::artifact::ArtifactRef;
use stepwell_base::failure::Failure;

/// Number of documents from which `auto` selects by hash.
const AUTO_HASH_DOCUMENTS: u64 = 100;

/// Number of documents and of text bytes.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub struct Part {
    pub documents: u64,
    pub text_bytes: u64,
}

impl Part {
    pub fn add(&mut self, bytes: u64) {
        self.documents += 1;
        self.text_bytes += bytes;
    }
}

/// The published parts.
pub struct Divided {
    pub train: Part,
    pub validation: Part,
    pub shards: usize,
    pub train_ref: ArtifactRef,
    pub validation_ref: ArtifactRef,
}

/// Selects the method for documents of this size in all.
pub fn split(arguments: &Arguments, left: Part) -> Split {
    let fraction = arguments.validation_fraction;
    let by_hash = match arguments.validation {
        Validation::Auto => left.documents >= AUTO_HASH_DOCUMENTS,
        Validation::Hash => true,
        Validation::Tail => false,
    };
    if by_hash { Split::Hash { fraction } } else { Split::tail(fraction, left.text_bytes) }
}

/// Lines of one document for both parts, with the length of their texts.
struct Lines {
    train: Option<(Vec<u8>, u64)>,
    validation: Option<(Vec<u8>, u64)>,
}

/// Divides the documents that `wanted` accepts; those in `contaminated` only have a validation part.
///
/// # Errors
/// When a part would be empty, or the store cannot be written.
pub fn divide(
    context: &mut StepContext<'_>,
    arguments: &Arguments,
    cleaned: &Cleaned,
    split: Split,
    wanted: impl Fn(u32) -> bool + Send,
    contaminated: &BTreeMap<u32, usize>,
) -> Result<Divided, StepError> {
    let artifacts = context.artifacts;
    let mut shards = Shards::new(artifacts, arguments.shard_bytes);
    let mut validation_out = BufWriter::new(artifacts.writer(NDJSON)?);
    let (mut train, mut validation) = (Part::default(), Part::default());
    let unreadable = |error: std::io::Error| write_failure("or read the cleaned documents", &error);
    let mut reader = cleaned.file.read(wanted).map_err(unreadable)?;
    pipeline(
        context,
        (cleaned.file.file_bytes, "splitting"),
        || reader.next_batch().map_err(unreadable),
        |entry| {
            let (train_text, validation_text) = split.divide(&entry.document.text, entry.start);
            let train_text = if contaminated.contains_key(&entry.number) { "" } else { train_text };
            Ok(Lines {
                train: line(&entry.document.id, train_text)?,
                validation: line(&entry.document.id, validation_text)?,
            })
        },
        |lines| {
            if let Some((line, bytes)) = lines.train {
                train.add(bytes);
                shards.add(&line)?;
            }
            if let Some((line, bytes)) = lines.validation {
                validation.add(bytes);
                validation_out.write_all(&line).map_err(|error| write_failure("the validation set", &error))?;
            }
            Ok(())
        },
    )?;
    check_parts(&train, &validation, arguments)?;
    let shard_count = shards.count();
    let validation_ref = finish(validation_out)?;
    Ok(Divided { train, validation, shards: shard_count, train_ref: shards.finish()?, validation_ref })
}

fn line(id: &str, text: &str) -> Result<Option<(Vec<u8>, u64)>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    let mut line = Vec::with_capacity(text.len() + id.len() + 32);
    let document = Document { id: id.to_owned(), text: text.to_owned() };
    write_document(&mut line, &document).map_err(|error| write_failure("a document", &error))?;
    Ok(Some((line, text.len() as u64)))
}

fn check_parts(train: &Part, validation: &Part, arguments: &Arguments) -> Result<(), Failure> {
    let (empty, hint) = match (train.documents, validation.documents) {
        (0, _) => ("training", "lower `validation_fraction`, set `validation = \"tail\"`, or import more text"),
        (_, 0) => ("validation", "raise `validation_fraction`, set `validation = \"tail\"`, or import more text"),
        _ => return Ok(()),
    };
    let message = format!(
        "the {empty} set would be empty: {} documents with {} bytes of text, validation fraction {}",
        train.documents + validation.documents,
        train.text_bytes + validation.text_bytes,
        arguments.validation_fraction
    );
    Err(Failure::fatal(message).with_hint(hint))
}
