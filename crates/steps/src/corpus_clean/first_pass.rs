//! The first pass: normalises every document, drops those that are bad on their own and exact duplicates, and writes
//! the others with their signatures to the scratch directory.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::accounts::{Accounts, Reason, Sample};
use super::arguments::Arguments;
use super::cleaned_file::{CleanedFile, CleanedWriter, Entry};
use super::near::{BandFiles, Signature, Signer, WrittenBands};
use super::pipeline::{BATCH_BYTES, Batch, Next, Taker, pipeline_to};
use super::sources::Sources;
use super::text::{Normalised, Rules};
use crate::corpus_documents::{Document, DocumentReader, document_files, total_size, write_failure};
use crate::handler::{StepContext, StepError};
use crate::partial::{FileState, Record, ResumeError};
use stepwell_base::failure::Failure;

/// Result of the first pass.
pub struct Cleaned {
    pub file: CleanedFile,
    /// Signatures, if near-duplicates are wanted.
    pub bands: Option<WrittenBands>,
    /// The source of each document in the file, if near-duplicates are wanted.
    pub sources: Sources,
    pub accounts: Accounts,
    record: Record,
}

impl Cleaned {
    /// Frees space early: the scratch directory is removed with the step anyway.
    pub fn remove(self) {
        self.record.remove();
        self.file.remove();
        if let Some(bands) = self.bands {
            bands.remove();
        }
    }
}

/// Amount of work at once, and time after which it becomes durable.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub batch_bytes: usize,
    pub save_time: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { batch_bytes: BATCH_BYTES, save_time: Duration::from_secs(5) }
    }
}

/// What is durable of the pass.
#[derive(Serialize, Deserialize)]
struct State {
    accounts: Accounts,
    cleaned: CleanedFile,
    file: FileState,
    bands: Option<Vec<FileState>>,
    is_complete: bool,
}

/// One document after the work on it.
struct Worked {
    id: String,
    bytes_read: u64,
    result: Normalised,
    digest: [u8; 32],
    signature: Option<Box<Signature>>,
}

/// Cleans all documents. Continues where an earlier attempt of the same step stopped.
pub fn clean(
    context: &mut StepContext<'_>,
    arguments: &Arguments,
    rules: &Rules,
    pace: Pace,
) -> Result<Cleaned, StepError> {
    let mut files = Vec::new();
    for documents in arguments.documents() {
        files.extend(document_files(context.artifacts, documents, None)?);
    }
    let total = total_size(&files)?;
    let mut pass = FirstPass::open(context, arguments, rules, pace)?;
    if !pass.is_complete {
        let signer = pass.bands.is_some().then(Signer::new);
        let mut reader = DocumentReader::new(files);
        reader.skip_documents(pass.accounts.read.0)?;
        pipeline_to(
            context,
            (total, "cleaning"),
            || Ok(Batch { items: reader.next_batch(pace.batch_bytes)?, done: reader.bytes_read() }),
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
            &mut pass,
        )?;
        pass.is_complete = true;
        pass.save()?;
    }
    Ok(pass.finish()?)
}

struct FirstPass {
    accounts: Accounts,
    writer: CleanedWriter,
    bands: Option<BandFiles>,
    sources: Sources,
    /// First 16 bytes of the digest of each kept text.
    seen: HashSet<[u8; 16]>,
    dedupe: bool,
    is_complete: bool,
    record: Record,
    saved: Instant,
    pace: Pace,
}

impl FirstPass {
    fn open(
        context: &mut StepContext<'_>,
        arguments: &Arguments,
        rules: &Rules,
        pace: Pace,
    ) -> Result<Self, StepError> {
        let record = Record::new(context, "clean.json", &Value::Null);
        if let Some(state) = record.load::<State>() {
            let documents = state.accounts.read.0;
            match FirstPass::resume(context, arguments, state, record.clone(), pace) {
                Ok(pass) => {
                    context.reporter.note(format!("resumes after {documents} documents"));
                    return Ok(pass);
                }
                Err(error) => context.reporter.note(format!("the cleaning starts over: {error}")),
            }
        }
        let scratch = context.scratch();
        let near = arguments.near_duplicates > 0.0;
        Ok(FirstPass {
            accounts: Accounts::new(arguments, rules),
            writer: CleanedWriter::create(&scratch.join("cleaned")).map_err(|error| unwritable(&error))?,
            bands: if near { Some(BandFiles::create(scratch).map_err(|error| unwritable(&error))?) } else { None },
            sources: Sources::default(),
            seen: HashSet::new(),
            dedupe: arguments.dedupe,
            is_complete: false,
            record,
            saved: Instant::now(),
            pace,
        })
    }

    /// Opens the files of an earlier attempt, and learns from them which texts it has kept.
    fn resume(
        context: &StepContext<'_>,
        arguments: &Arguments,
        state: State,
        record: Record,
        pace: Pace,
    ) -> Result<Self, ResumeError> {
        let State { accounts, cleaned, file, bands, is_complete } = state;
        let bands = match bands {
            Some(bands) => Some(BandFiles::resume(context.scratch(), cleaned.documents, &bands)?),
            None => None,
        };
        let writer = CleanedWriter::resume(cleaned.clone(), &file)?;
        let (mut seen, mut sources) = (HashSet::new(), Sources::default());
        let (dedupe, near) = (arguments.dedupe && !is_complete, bands.is_some());
        let mut reader = cleaned.read(|_| dedupe || near)?;
        loop {
            let batch = reader.next_batch()?;
            if batch.items.is_empty() {
                break;
            }
            if dedupe {
                let digest = |entry: &Entry| short(blake3::hash(entry.document.text.as_bytes()).as_bytes());
                seen.extend(batch.items.par_iter().map(digest).collect::<Vec<_>>());
            }
            if near {
                batch.items.iter().for_each(|entry| sources.add(&entry.document.id));
            }
        }
        let (dedupe, saved) = (arguments.dedupe, Instant::now());
        Ok(FirstPass { accounts, writer, bands, sources, seen, dedupe, is_complete, record, saved, pace })
    }

    /// Makes everything durable that was taken.
    fn save(&mut self) -> Result<(), Failure> {
        let mut save = || {
            let state = State {
                accounts: self.accounts.clone(),
                file: self.writer.sync()?,
                cleaned: self.writer.cleaned.clone(),
                bands: match &mut self.bands {
                    Some(bands) => Some(bands.sync()?),
                    None => None,
                },
                is_complete: self.is_complete,
            };
            self.record.save(&state)
        };
        save().map_err(|error| unwritable(&error))?;
        self.saved = Instant::now();
        Ok(())
    }

    fn finish(self) -> Result<Cleaned, Failure> {
        let file = self.writer.cleaned;
        if file.documents == 0 {
            return Err(all_dropped(&self.accounts));
        }
        if file.documents > u64::from(u32::MAX) {
            return Err(Failure::fatal(format!("{} documents are too many for one step", file.documents))
                .with_hint("clean parts of the corpus in steps of their own"));
        }
        let bands = match self.bands {
            Some(bands) => Some(bands.finish().map_err(|error| unwritable(&error))?),
            None => None,
        };
        Ok(Cleaned { file, bands, sources: self.sources, accounts: self.accounts, record: self.record })
    }
}

impl Taker<Worked> for FirstPass {
    fn take(&mut self, worked: Worked) -> Result<(), Failure> {
        let Worked { id, bytes_read, result, digest, signature } = worked;
        let (accounts, bytes) = (&mut self.accounts, result.text.len() as u64);
        accounts.read = (accounts.read.0 + 1, accounts.read.1 + bytes_read);
        accounts.normalised_bytes += bytes;
        if let Some(example) = result.nfkc {
            accounts.nfkc_changed += 1;
            // A text may change without any character that changes on its own.
            if accounts.nfkc_example.as_ref().is_none_or(|(from, _)| from.is_empty()) {
                accounts.nfkc_example = Some(example);
            }
        }
        for (sum, count) in accounts.replaced.iter_mut().zip(result.replaced) {
            *sum += count;
        }
        if accounts.invisible.is_empty() {
            accounts.invisible = result.invisible;
        }
        let verdict = result.verdict.or_else(|| {
            let is_new = !self.dedupe || self.seen.insert(short(&digest));
            (!is_new).then_some((Reason::Duplicate, None))
        });
        if let Some((reason, value)) = verdict {
            let sample = || Sample { value, ..Sample::new(&id, &result.text) };
            accounts.tally.add(reason, bytes, order(&digest), sample);
            return Ok(());
        }
        if let Some(bands) = &mut self.bands {
            bands.add(signature.as_deref()).map_err(|error| unwritable(&error))?;
            self.sources.add(&id);
        }
        self.writer.add(&Document { id, text: result.text }).map_err(|error| unwritable(&error))
    }

    fn between(&mut self, next: Next) -> Result<(), Failure> {
        let due = next == Next::Stop || self.saved.elapsed() >= self.pace.save_time;
        if due && self.accounts.read.0 > 0 { self.save() } else { Ok(()) }
    }
}

fn all_dropped(accounts: &Accounts) -> Failure {
    let dropped = &accounts.tally.dropped;
    let Some((most, _)) = dropped.iter().max_by_key(|(_, dropped)| dropped.documents).filter(|_| accounts.read.0 > 0)
    else {
        return Failure::fatal("there is no document to clean").with_hint("check what `corpus.import` read");
    };
    let counts: Vec<String> = dropped
        .iter()
        .filter(|(_, dropped)| dropped.documents > 0)
        .map(|(reason, dropped)| format!("{} {}", dropped.documents, reason.as_str().replace('_', " ")))
        .collect();
    let mut message = format!("all {} documents were dropped: {}", accounts.tally.documents(), counts.join(", "));
    if !accounts.invisible.is_empty() {
        message.push_str(&format!("; there are texts of {} only", accounts.invisible.join(", ")));
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
