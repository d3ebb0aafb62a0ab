//! Finds training text that shares a sequence of words with held-out text: 13 words in GPT-3 (Brown et al. 2020,
//! appendix C). Case and punctuation do not matter.

use std::collections::BTreeMap;

use super::cleaned_file::CleanedFile;
use super::hashing::{sequences, word_hashes, word_ranges};
use super::pipeline::{Batch, pipeline};
use super::split::Split;
use crate::corpus_documents::{DocumentReader, total_size, write_failure};
use crate::handler::{StepContext, StepError};
use stepwell_base::failure::Failure;

/// Most sequences in memory at once, 8 bytes each. Held-out text with more is searched in several passes.
const SEQUENCES_AT_ONCE: u64 = 8 << 20;

/// Bytes of text per sequence, at least: one word with the space after it.
const BYTES_PER_SEQUENCE: u64 = 4;

/// Hashes of the sequences of held-out text, sorted, with the start of every range of leading bits.
struct Sequences {
    sorted: Vec<u64>,
    starts: Vec<u32>,
    shift: u32,
}

impl Sequences {
    fn new(mut hashes: Vec<u64>) -> Self {
        hashes.sort_unstable();
        hashes.dedup();
        // About eight hashes in each range.
        let bits = (hashes.len() / 8).max(2).next_power_of_two().trailing_zeros();
        let shift = u64::BITS - bits;
        let mut starts = vec![0u32; (1 << bits) + 1];
        for hash in &hashes {
            starts[(hash >> shift) as usize + 1] += 1;
        }
        for range in 1..starts.len() {
            starts[range] += starts[range - 1];
        }
        Sequences { sorted: hashes, starts, shift }
    }

    fn contains(&self, hash: u64) -> bool {
        let range = (hash >> self.shift) as usize;
        self.sorted[self.starts[range] as usize..self.starts[range + 1] as usize].contains(&hash)
    }
}

/// Texts to compare, and how.
pub struct Search<'a> {
    pub cleaned: &'a CleanedFile,
    pub split: Split,
    /// Words of a sequence.
    pub words: usize,
    /// Files of documents that are held out besides the validation part.
    pub evaluation: &'a [std::path::PathBuf],
    /// Size of the held-out text in bytes, about.
    pub held_out_bytes: u64,
}

/// Result of the search.
#[derive(Default, Debug)]
pub struct Contamination {
    /// Position in the text of the first shared sequence, by the number of the training document.
    pub documents: BTreeMap<u32, usize>,
    /// Held-out documents with fewer words than a sequence, which are not compared.
    pub too_short: u64,
    /// Different sequences of the held-out text.
    pub sequences: u64,
}

impl Search<'_> {
    /// # Errors
    /// When files cannot be read; `Interrupted`.
    pub fn run(
        &self,
        context: &mut StepContext<'_>,
        wanted: impl Fn(u32) -> bool + Send + Copy,
    ) -> Result<Contamination, StepError> {
        self.run_with(context, wanted, SEQUENCES_AT_ONCE)
    }

    pub fn run_with(
        &self,
        context: &mut StepContext<'_>,
        wanted: impl Fn(u32) -> bool + Send + Copy,
        at_once: u64,
    ) -> Result<Contamination, StepError> {
        let passes = (self.held_out_bytes / BYTES_PER_SEQUENCE).div_ceil(at_once).max(1);
        let mut found = Contamination::default();
        for pass in 0..passes {
            let mut too_short = 0;
            let mut hashes = Vec::new();
            let mut take = |text: &Option<Vec<u64>>| match text {
                None => too_short += 1,
                Some(of_text) => hashes.extend(of_text.iter().copied().filter(|hash| hash % passes == pass)),
            };
            self.held_out(context, wanted, &mut take)?;
            let set = Sequences::new(hashes);
            found.too_short = too_short;
            found.sequences += set.sorted.len() as u64;
            self.training(context, wanted, &set, (passes, pass), &mut found.documents)?;
        }
        Ok(found)
    }

    /// Gives the sequences of every held-out text, or `None` for one that is too short.
    fn held_out(
        &self,
        context: &mut StepContext<'_>,
        wanted: impl Fn(u32) -> bool + Send,
        take: &mut (impl FnMut(&Option<Vec<u64>>) + Send),
    ) -> Result<(), StepError> {
        let words = self.words;
        let mut reader = self.cleaned.read(wanted).map_err(unreadable)?;
        pipeline(
            context,
            (self.cleaned.file_bytes, "reading held-out text"),
            || reader.next_batch().map_err(unreadable),
            |entry| {
                let (_, held_out) = self.split.divide(&entry.document.text, entry.start);
                Ok((!held_out.is_empty()).then(|| of_text(held_out, words)))
            },
            |found| {
                found.iter().for_each(&mut *take);
                Ok(())
            },
        )?;
        let (mut reader, total) = (DocumentReader::new(self.evaluation.to_vec()), total_size(self.evaluation)?);
        pipeline(
            context,
            (total, "reading evaluation text"),
            || Ok(Batch { items: reader.next_batch(super::pipeline::BATCH_BYTES)?, done: reader.bytes_read() }),
            |line| Ok(of_text(&line.parse()?.text, words)),
            |found| {
                take(&found);
                Ok(())
            },
        )
    }

    fn training(
        &self,
        context: &mut StepContext<'_>,
        wanted: impl Fn(u32) -> bool + Send,
        set: &Sequences,
        (passes, pass): (u64, u64),
        into: &mut BTreeMap<u32, usize>,
    ) -> Result<(), StepError> {
        let words = self.words;
        let mut reader = self.cleaned.read(wanted).map_err(unreadable)?;
        pipeline(
            context,
            (self.cleaned.file_bytes, "searching training text"),
            || reader.next_batch().map_err(unreadable),
            |entry| {
                let (training, _) = self.split.divide(&entry.document.text, entry.start);
                let hashes = of_text(training, words).unwrap_or_default();
                let shared = hashes.iter().position(|hash| hash % passes == pass && set.contains(*hash));
                Ok(shared.map(|at| (entry.number, at)))
            },
            |found| {
                if let Some((number, at)) = found {
                    let first = into.entry(number).or_insert(at);
                    *first = at.min(*first);
                }
                Ok(())
            },
        )
    }
}

/// Hashes of the sequences of a text; `None` if it has fewer words than one.
fn of_text(text: &str, words: usize) -> Option<Vec<u64>> {
    let mut hashes = Vec::new();
    word_hashes(text, &mut hashes);
    (hashes.len() >= words).then(|| sequences(&hashes, words).collect())
}

/// The shared words, for a sample: `words` words from the position `at` on.
pub fn shared_words(text: &str, at: usize, words: usize) -> String {
    let ranges = word_ranges(text).skip(at).take(words);
    ranges.map(|range| &text[range]).collect::<Vec<_>>().join(" ")
}

fn unreadable(error: std::io::Error) -> Failure {
    write_failure("or read the cleaned documents", &error)
}
