//! Decides which documents are near-duplicates of earlier ones.
//!
//! Documents that share the key of a band are candidates. Each is compared with the first document of its bucket and
//! with the one before it. In the order of the documents, one is dropped if an earlier one that is kept is as similar as
//! asked; what was dropped for the same document counts as that document.

use std::collections::HashMap;
use std::io;

use super::band_files::Written;
use super::signature::{BANDS, Signature};

/// Most keys in memory at once, 16 bytes each. A band with more is read in several passes over ranges of keys.
const KEYS_AT_ONCE: u64 = 4 << 20;

/// Most similar earlier documents that are remembered for each document.
const REMEMBERED: usize = 4;

/// The decision.
#[derive(Debug, Default, PartialEq)]
pub struct NearDuplicates {
    /// The earlier document that is kept in place of each, and their estimated similarity.
    pub like: HashMap<u32, (u32, f64)>,
}

/// # Errors
/// When the files of signatures cannot be read.
pub fn decide(files: &Written, similarity: f64) -> io::Result<NearDuplicates> {
    decide_with(files, similarity, KEYS_AT_ONCE)
}

pub(super) fn decide_with(files: &Written, similarity: f64, at_once: u64) -> io::Result<NearDuplicates> {
    let mut earlier: HashMap<u32, Vec<u32>> = HashMap::new();
    let passes = files.documents.div_ceil(at_once).max(1);
    for band in 0..BANDS {
        for pass in 0..passes {
            let mut keys = Vec::new();
            files.keys(band, |key, document| {
                if key % passes == pass {
                    keys.push((key, document));
                }
            })?;
            keys.sort_unstable();
            for bucket in keys.chunk_by(|(one, _), (other, _)| one == other).filter(|bucket| bucket.len() > 1) {
                compare(files, bucket, similarity, &mut earlier)?;
            }
        }
    }
    greedy(files, similarity, earlier)
}

/// Compares the documents of a bucket, which are in order.
fn compare(
    files: &Written,
    bucket: &[(u64, u32)],
    similarity: f64,
    earlier: &mut HashMap<u32, Vec<u32>>,
) -> io::Result<()> {
    let first = (bucket[0].1, files.signature(bucket[0].1)?);
    let mut before = first.clone();
    for (_, document) in &bucket[1..] {
        let mine = files.signature(*document)?;
        for (other, signature) in [&first, &before] {
            if mine.similarity(signature) >= similarity {
                remember(earlier.entry(*document).or_default(), *other);
            }
        }
        before = (*document, mine);
    }
    Ok(())
}

/// Keeps the smallest numbers, each once.
fn remember(list: &mut Vec<u32>, document: u32) {
    if let Err(at) = list.binary_search(&document) {
        list.insert(at, document);
        list.truncate(REMEMBERED);
    }
}

fn greedy(files: &Written, similarity: f64, earlier: HashMap<u32, Vec<u32>>) -> io::Result<NearDuplicates> {
    let mut documents: Vec<(u32, Vec<u32>)> = earlier.into_iter().collect();
    documents.sort_unstable();
    let mut decided = NearDuplicates::default();
    for (document, candidates) in documents {
        let mine = files.signature(document)?;
        if let Some(kept) = kept_one_like(files, &mine, &candidates, similarity, &decided)? {
            decided.like.insert(document, kept);
        }
    }
    Ok(decided)
}

fn kept_one_like(
    files: &Written,
    mine: &Signature,
    candidates: &[u32],
    similarity: f64,
    decided: &NearDuplicates,
) -> io::Result<Option<(u32, f64)>> {
    for candidate in candidates {
        let kept = decided.like.get(candidate).map_or(*candidate, |(kept, _)| *kept);
        let similar = mine.similarity(&files.signature(kept)?);
        if similar >= similarity {
            return Ok(Some((kept, similar)));
        }
    }
    Ok(None)
}
