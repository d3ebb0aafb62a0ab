//! The first pass: normalises every document, drops those that are bad on their own and exact duplicates, and writes
//! the others with their signatures to the scratch directory.

use std::collections::HashSet;

use super::arguments::Arguments;
use super::cleaned_file::{CleanedFile, CleanedWriter};
use super::near::{BandFiles, Signature, Signer, WrittenBands};
use super::text::{Normalised, Replaced, Rules};

use super::pipeline::{BATCH_BYTES, Batch, pipeline};
use super::reason::Reason;
use super::report::{Sample, Tally};
use super::sources::Sources;
use crate::corpus_documents::{Document, DocumentReader, document_files, total_size, write_failure};
use crate::handler::{StepContext, StepError};
use stepwell_base::failure::Failure;

/// Result of the first pass.
pub struct Cleaned {
    pub file: CleanedFile,
    /// Signatures, if near-duplicates are wanted.
    pub bands: Option<WrittenBands>,
    /// The source of each document in the file, if near-duplicates are wanted.
    pub sources: Sources,
    pub tally: Tally,
    /// Documents and bytes of text that were read.
    pub read: (u64, u64),
    /// Bytes of text after normalisation.
    pub normalised_bytes: u64,
    pub nfkc_changed: u64,
    /// The first character that NFKC changed, and its replacement.
    pub nfkc_example: Option<(String, String)>,
    pub replaced: Replaced,
    /// Names of the invisible characters in the first text that has no others.
    pub invisible: Vec<String>,
}

/// One document after the work on it.
struct Worked {
    id: String,
    bytes_read: u64,
    result: Normalised,
    digest: [u8; 32],
    signature: Option<Box<Signature>>,
}

pub fn clean(context: &mut StepContext<'_>, arguments: &Arguments, rules: &Rules) -> Result<Cleaned, StepError> {
    let mut files = Vec::new();
    for documents in arguments.documents() {
        files.extend(document_files(context.artifacts, documents, None)?);
    }
    let total = total_size(&files)?;
    let mut pass = FirstPass::new(context, arguments, rules)?;
    let signer = pass.bands.is_some().then(Signer::new);
    let mut reader = DocumentReader::new(files);
    pipeline(
        context,
        (total, "cleaning"),
        || Ok(Batch { items: reader.next_batch(BATCH_BYTES)?, done: reader.bytes_read() }),
        |line| {
            let document = line.parse()?;
            let result = rules.apply(&document.text);
            let kept = result.verdict.is_none();
            Ok(Worked {
                id: document.id,
                bytes_read: document.text.len() as u64,
                digest: *blake3::hash(result.text.as_bytes()).as_bytes(),
                signature: signer.as_ref().filter(|_| kept).and_then(|signer| signer.sign(&result.text)),
                result,
            })
        },
        |worked| pass.take(worked),
    )?;
    Ok(pass.finish()?)
}

struct FirstPass {
    cleaned: Cleaned,
    writer: CleanedWriter,
    bands: Option<BandFiles>,
    /// First 16 bytes of the digest of each kept text.
    seen: HashSet<[u8; 16]>,
    dedupe: bool,
}

impl FirstPass {
    fn new(context: &StepContext<'_>, arguments: &Arguments, rules: &Rules) -> Result<Self, Failure> {
        let scratch = context.scratch();
        let near = arguments.near_duplicates > 0.0;
        let writer = CleanedWriter::create(&scratch.join("cleaned")).map_err(|error| unwritable(&error))?;
        let bands = if near { Some(BandFiles::create(scratch).map_err(|error| unwritable(&error))?) } else { None };
        let mut tally = Tally::new(arguments.samples, &rules.thresholds);
        if near {
            tally.expect(Reason::NearDuplicate);
        }
        if arguments.contamination_words > 0 {
            tally.expect(Reason::Contaminated);
        }
        let cleaned = Cleaned {
            file: CleanedFile::default(),
            bands: None,
            sources: Sources::default(),
            tally,
            read: (0, 0),
            normalised_bytes: 0,
            nfkc_changed: 0,
            nfkc_example: None,
            replaced: Replaced::default(),
            invisible: Vec::new(),
        };
        Ok(FirstPass { cleaned, writer, bands, seen: HashSet::new(), dedupe: arguments.dedupe })
    }

    fn take(&mut self, worked: Worked) -> Result<(), Failure> {
        let Worked { id, bytes_read, result, digest, signature } = worked;
        let (cleaned, bytes) = (&mut self.cleaned, result.text.len() as u64);
        cleaned.read = (cleaned.read.0 + 1, cleaned.read.1 + bytes_read);
        cleaned.normalised_bytes += bytes;
        if let Some(example) = result.nfkc {
            cleaned.nfkc_changed += 1;
            // A text may change without any character that changes on its own.
            if cleaned.nfkc_example.as_ref().is_none_or(|(from, _)| from.is_empty()) {
                cleaned.nfkc_example = Some(example);
            }
        }
        for (sum, count) in cleaned.replaced.iter_mut().zip(result.replaced) {
            *sum += count;
        }
        if cleaned.invisible.is_empty() {
            cleaned.invisible = result.invisible;
        }
        let verdict = result.verdict.or_else(|| {
            let is_new = !self.dedupe || self.seen.insert(short(&digest));
            (!is_new).then_some((Reason::Duplicate, None))
        });
        if let Some((reason, value)) = verdict {
            let sample = || Sample { value, ..Sample::new(&id, &result.text) };
            cleaned.tally.add(reason, bytes, order(&digest), sample);
            return Ok(());
        }
        if let Some(bands) = &mut self.bands {
            bands.add(signature.as_deref()).map_err(|error| unwritable(&error))?;
            cleaned.sources.add(&id);
        }
        self.writer.add(&Document { id, text: result.text }).map_err(|error| unwritable(&error))
    }

    fn finish(mut self) -> Result<Cleaned, Failure> {
        self.cleaned.file = self.writer.finish().map_err(|error| unwritable(&error))?;
        self.cleaned.bands = match self.bands {
            Some(bands) => Some(bands.finish().map_err(|error| unwritable(&error))?),
            None => None,
        };
        if self.cleaned.file.documents == 0 {
            return Err(all_dropped(&self.cleaned));
        }
        if self.cleaned.file.documents > u64::from(u32::MAX) {
            return Err(Failure::fatal(format!("{} documents are too many for one step", self.cleaned.file.documents))
                .with_hint("clean parts of the corpus in steps of their own"));
        }
        Ok(self.cleaned)
    }
}

fn all_dropped(cleaned: &Cleaned) -> Failure {
    let dropped = &cleaned.tally.dropped;
    let Some((most, _)) = dropped.iter().max_by_key(|(_, dropped)| dropped.documents).filter(|_| cleaned.read.0 > 0)
    else {
        return Failure::fatal("there is no document to clean").with_hint("check what `corpus.import` read");
    };
    let counts: Vec<String> = dropped
        .iter()
        .filter(|(_, dropped)| dropped.documents > 0)
        .map(|(reason, dropped)| format!("{} {}", dropped.documents, reason.as_str().replace('_', " ")))
        .collect();
    let mut message = format!("all {} documents were dropped: {}", cleaned.tally.documents(), counts.join(", "));
    if !cleaned.invisible.is_empty() {
        message.push_str(&format!("; there are texts of {} only", cleaned.invisible.join(", ")));
    }
    Failure::fatal(message).with_hint(most.remedy())
}

fn short(digest: &[u8; 32]) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&digest[..16]);
    short
}

/// Number that decides which documents become samples.
pub fn order(digest: &[u8; 32]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&digest[16..24]);
    u64::from_le_bytes(word)
}

pub fn unwritable(error: &std::io::Error) -> Failure {
    write_failure("the cleaned documents", error)
}
