//! MinHash signatures of documents.

use crate::corpus_clean::hashing::{mix, sequences, word_hashes};
use stepwell_base::rng::derive_seed;

/// Bands and rows of FineWeb (Penedo et al. 2024, section 3.4): documents with similarity s share a band with
/// probability 1 - (1 - s^8)^14, which is 77 % at 0.75, 92 % at 0.8 and 99.9 % at 0.9.
pub const BANDS: usize = 14;
pub const ROWS: usize = 8;
pub const HASHES: usize = BANDS * ROWS;

/// Words of a shingle, as in FineWeb.
const SHINGLE: usize = 5;

/// Smallest value of each hash function over the shingles of a document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signature(pub [u32; HASHES]);

impl Signature {
    /// Key of one band: equal for documents whose rows in it are all equal.
    pub fn band(&self, band: usize) -> u64 {
        let rows = &self.0[band * ROWS..(band + 1) * ROWS];
        rows.iter().fold(band as u64 + 1, |key, row| mix(key ^ u64::from(*row)))
    }

    /// Estimate of the Jaccard similarity of the shingles; its standard deviation is at most 0.047.
    pub fn similarity(&self, other: &Signature) -> f64 {
        let equal = self.0.iter().zip(&other.0).filter(|(one, other)| one == other).count();
        equal as f64 / HASHES as f64
    }
}

/// The hash functions: multiplication by an odd number and addition, modulo 2^32, of a well-mixed hash. Each permutes
/// the 32-bit numbers.
pub struct Signer {
    factors: [u32; HASHES],
    terms: [u32; HASHES],
}

impl Signer {
    pub fn new() -> Self {
        let number = |purpose, index: usize| derive_seed(0, purpose, index as u64) as u32;
        Signer {
            factors: std::array::from_fn(|index| number("minhash factor", index) | 1),
            terms: std::array::from_fn(|index| number("minhash term", index)),
        }
    }

    /// Signature of a text, or `None` if it has no words.
    pub fn sign(&self, text: &str) -> Option<Box<Signature>> {
        let mut words = Vec::new();
        word_hashes(text, &mut words);
        if words.is_empty() {
            return None;
        }
        let mut least = [u32::MAX; HASHES];
        for shingle in sequences(&words, SHINGLE) {
            let shingle = (shingle >> 32) as u32;
            for ((least, factor), term) in least.iter_mut().zip(&self.factors).zip(&self.terms) {
                *least = (*least).min(shingle.wrapping_mul(*factor).wrapping_add(*term));
            }
        }
        Some(Box::new(Signature(least)))
    }
}
