//! Hashes of words and word sequences, the same on every machine. They need no defence against chosen input: a
//! collision costs one document at most.

use std::ops::Range;

/// Finaliser of SplitMix64: every bit of the input changes about half of the output.
pub fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// Hash of bytes, eight at a time.
pub fn hash64(bytes: &[u8]) -> u64 {
    let mut hash = bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        hash ^= hash >> 32;
    }
    mix(hash)
}

/// Odd multiplier, from the fraction of the golden ratio.
const LETTER: u64 = 0x9E37_79B9_7F4A_7C15;

/// Place of every word in order. A word is a run of letters and digits; in scripts without spaces between words it is one
/// character.
pub fn word_ranges(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let mut start = None;
        for (offset, c) in text[at..].char_indices() {
            let place = at + offset;
            match start {
                None if stands_alone(c) => {
                    at = place + c.len_utf8();
                    return Some(place..at);
                }
                None if c.is_alphanumeric() => start = Some(place),
                Some(start) if !c.is_alphanumeric() || stands_alone(c) => {
                    at = place;
                    return Some(start..place);
                }
                _ => {}
            }
        }
        let found = start.map(|start| start..text.len());
        at = text.len();
        found
    })
}

/// Hash of every word in order, regardless of case and punctuation.
pub fn word_hashes(text: &str, into: &mut Vec<u64>) {
    into.clear();
    into.extend(word_ranges(text).map(|range| word_hash(&text[range])));
}

fn word_hash(word: &str) -> u64 {
    let add = |hash: u64, letter: u32| (hash ^ u64::from(letter)).wrapping_mul(LETTER).rotate_left(23);
    let hash = if word.is_ascii() {
        word.bytes().fold(1, |hash, byte| add(hash, u32::from(byte.to_ascii_lowercase())))
    } else {
        word.chars().flat_map(char::to_lowercase).fold(1, |hash, c| add(hash, c as u32))
    };
    mix(hash)
}

/// True for characters of scripts that put no space between words: Thai, Lao, Burmese, Khmer, Chinese, Japanese.
fn stands_alone(c: char) -> bool {
    matches!(c as u32, 0x0E00..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x3040..=0x30FF | 0x3400..=0x9FFF
        | 0xF900..=0xFAFF | 0x20000..=0x3FFFF)
        && c.is_alphanumeric()
}

/// Hashes of all sequences of `n` words. A text of fewer words is one sequence; a text without words has none.
pub fn sequences(words: &[u64], n: usize) -> impl Iterator<Item = u64> + '_ {
    let n = n.min(words.len());
    let power = LETTER.wrapping_pow(n as u32);
    let mut rolling = words[..n].iter().fold(0u64, |sum, word| sum.wrapping_mul(LETTER).wrapping_add(*word));
    let first = (n > 0).then_some(rolling);
    let later = words.iter().zip(&words[n..]).map(move |(left, entered)| {
        rolling = rolling.wrapping_mul(LETTER).wrapping_add(*entered).wrapping_sub(left.wrapping_mul(power));
        rolling
    });
    first.into_iter().chain(later.take(if n == 0 { 0 } else { usize::MAX })).map(mix)
}
