//! Repetition of word n-grams, as MassiveText measures it (Rae et al. 2021, table A1). Characters are those of the
//! words, without the white space between them.

use super::counts::Counts;
use super::page::{Page, share};
use crate::corpus_clean::hashing::mix;

/// Base of the polynomial that joins word hashes; odd, so that no bit of a hash is lost.
const BASE: u64 = 0x9E37_79B9_7F4A_7C15;

/// Prefix sums of a page, from which any n-gram takes constant time.
pub struct Grams {
    hashes: Vec<u64>,
    chars: Vec<u64>,
}

impl Grams {
    pub fn new(page: &Page<'_>) -> Self {
        let (mut hashes, mut chars) = (vec![0u64], vec![0u64]);
        let (mut hash, mut sum) = (0u64, 0u64);
        for word in &page.words {
            hash = hash.wrapping_mul(BASE).wrapping_add(word.hash);
            sum += u64::from(word.chars);
            hashes.push(hash);
            chars.push(sum);
        }
        Grams { hashes, chars }
    }

    fn words(&self) -> usize {
        self.hashes.len() - 1
    }

    fn total(&self) -> u64 {
        self.chars[self.words()]
    }

    fn chars(&self, at: usize, n: usize) -> u64 {
        self.chars[at + n] - self.chars[at]
    }

    fn hash(&self, at: usize, n: usize, power: u64) -> u64 {
        mix(self.hashes[at + n].wrapping_sub(self.hashes[at].wrapping_mul(power)))
    }

    /// Share of the characters in all occurrences of the most frequent n-gram, the longest of several; 0 if none
    /// occurs twice.
    pub fn top(&self, n: usize, counts: &mut Counts) -> f64 {
        let Some(last) = self.words().checked_sub(n) else { return 0.0 };
        let power = BASE.wrapping_pow(n as u32);
        counts.clear(last + 1);
        let mut best = (1, 0);
        for at in 0..=last {
            let found = (counts.add(self.hash(at, n, power)), self.chars(at, n));
            if found.0 > 1 {
                best = best.max(found);
            }
        }
        share(u64::from(best.0) * best.1, self.total())
    }

    /// Share of the characters in n-grams that occurred before, overlapping ones counted once.
    pub fn duplicate(&self, n: usize, counts: &mut Counts) -> f64 {
        let Some(last) = self.words().checked_sub(n) else { return 0.0 };
        let power = BASE.wrapping_pow(n as u32);
        counts.clear(last + 1);
        let (mut at, mut repeated) = (0, 0);
        while at <= last {
            if counts.add(self.hash(at, n, power)) > 1 {
                repeated += self.chars(at, n);
                at += n;
            } else {
                at += 1;
            }
        }
        share(repeated, self.total())
    }
}
