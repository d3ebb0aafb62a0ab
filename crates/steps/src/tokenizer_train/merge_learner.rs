//! Learns byte-pair merges from counted words (Sennrich et al. 2016).
//!
//! The merges equal those of `BpeTrainer` in the `tokenizers` library. The library moves the rest of a word for each
//! merge, which is quadratic in the length of a word and cannot be interrupted. Here one pass over a word does all of
//! its merges of one pair.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use crate::tokenize::byte_bpe::{FastMap, byte_char};

type Pair = (u32, u32);

/// Tokens sorted by id, and merges sorted by rank.
pub struct Vocabulary {
    /// The bytes of each token.
    tokens: Vec<Vec<u8>>,
    ids: HashMap<Vec<u8>, u32>,
    merges: Vec<Pair>,
}

/// Words as tokens, and the count of each pair in them.
pub struct MergeLearner {
    vocabulary: Vocabulary,
    words: Vec<Vec<u32>>,
    /// Number of occurrences of each word.
    counts: Vec<i64>,
    pair_counts: FastMap<Pair, i64>,
    queue: BinaryHeap<Candidate>,
}

/// A candidate for the next merge. The most frequent pair comes first; among equals, the one with the lowest ids.
/// Its count becomes stale when a later merge changes one of its words.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    count: i64,
    pair: Reverse<Pair>,
    /// Words that gained the pair since it was last queued.
    words: Vec<u32>,
}

impl MergeLearner {
    /// Starts with a vocabulary of the special tokens and the 256 bytes.
    pub fn new(specials: &[&str], counted: &HashMap<Box<str>, u64>) -> MergeLearner {
        let vocabulary = Vocabulary::new(specials);
        let mut sorted: Vec<(&str, u64)> = counted.iter().map(|(word, count)| (&**word, *count)).collect();
        sorted.sort_unstable();
        let bytes: Vec<u32> = (0..=u8::MAX).map(|byte| vocabulary.ids[&[byte][..]]).collect();
        let tokens = |(word, _): &(&str, u64)| word.bytes().map(|byte| bytes[usize::from(byte)]).collect();
        let mut learner = MergeLearner {
            words: sorted.iter().map(tokens).collect(),
            counts: sorted.iter().map(|(_, count)| i64::try_from(*count).unwrap_or(i64::MAX)).collect(),
            pair_counts: FastMap::default(),
            queue: BinaryHeap::new(),
            vocabulary,
        };
        learner.queue_all_pairs();
        learner
    }

    fn queue_all_pairs(&mut self) {
        let mut places = Places::default();
        for (number, (word, count)) in (0..).zip(self.words.iter().zip(&self.counts)) {
            for pair in word.windows(2).map(|pair| (pair[0], pair[1])) {
                *self.pair_counts.entry(pair).or_default() += count;
                places.add(pair, number);
            }
        }
        self.queue(places);
    }

    fn queue(&mut self, places: Places) {
        for (pair, words) in places.0 {
            let count = self.pair_counts[&pair];
            if count > 0 {
                self.queue.push(Candidate { count, pair: Reverse(pair), words });
            }
        }
    }

    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    pub fn into_vocabulary(self) -> Vocabulary {
        self.vocabulary
    }

    /// Merges the most frequent pair. Returns false when no pair occurs `min_frequency` times.
    pub fn merge_next(&mut self, min_frequency: u64) -> bool {
        while let Some(best) = self.queue.pop() {
            let count = self.pair_counts[&best.pair.0];
            if best.count != count {
                self.queue.push(Candidate { count, ..best });
            } else if count < 1 || count.cast_unsigned() < min_frequency {
                return false;
            } else {
                self.merge(best.pair.0, &best.words);
                return true;
            }
        }
        false
    }

    fn merge(&mut self, pair: Pair, words: &[u32]) {
        let merged = self.vocabulary.add_merge(pair);
        let mut places = Places::default();
        for number in words {
            let count = self.counts[*number as usize];
            merge_in_word(&mut self.words[*number as usize], pair, merged, |pair, change| {
                *self.pair_counts.entry(pair).or_default() += change * count;
                if change > 0 {
                    places.add(pair, *number);
                }
            });
        }
        self.queue(places);
    }
}

/// The words of each pair, sorted.
#[derive(Default)]
struct Places(FastMap<Pair, Vec<u32>>);

impl Places {
    /// Requires `word` to be no less than the last word added.
    fn add(&mut self, pair: Pair, word: u32) {
        let words = self.0.entry(pair).or_default();
        if words.last() != Some(&word) {
            words.push(word);
        }
    }
}

/// Replaces each occurrence of `pair` and reports the pairs that appear and disappear. The pair itself keeps its
/// count, as in the library. This matters only where another merge produces an existing token.
fn merge_in_word(word: &mut Vec<u32>, pair: Pair, merged: u32, mut change: impl FnMut(Pair, i64)) {
    let (mut from, mut to) = (0, 0usize);
    while from < word.len() {
        let token = word[from];
        if token == pair.0 && word.get(from + 1) == Some(&pair.1) {
            if let Some(left) = to.checked_sub(1).map(|left| word[left]) {
                change((left, pair.0), -1);
                change((left, merged), 1);
            }
            if let Some(right) = word.get(from + 2) {
                change((pair.1, *right), -1);
                change((merged, *right), 1);
            }
            word[to] = merged;
            from += 2;
        } else {
            word[to] = token;
            from += 1;
        }
        to += 1;
    }
    word.truncate(to);
}

impl Vocabulary {
    fn new(specials: &[&str]) -> Vocabulary {
        let mut bytes: Vec<u8> = (0..=u8::MAX).collect();
        bytes.sort_by_key(|byte| byte_char(*byte));
        let mut vocabulary = Vocabulary { tokens: Vec::new(), ids: HashMap::new(), merges: Vec::new() };
        let specials = specials.iter().map(|special| special.as_bytes().to_vec());
        for token in specials.chain(bytes.into_iter().map(|byte| vec![byte])) {
            vocabulary.id(token);
        }
        vocabulary
    }

    fn id(&mut self, token: Vec<u8>) -> u32 {
        *self.ids.entry(token).or_insert_with_key(|token| {
            self.tokens.push(token.clone());
            self.tokens.len() as u32 - 1
        })
    }

    fn add_merge(&mut self, pair: Pair) -> u32 {
        self.merges.push(pair);
        self.id([self.tokens[pair.0 as usize].as_slice(), &self.tokens[pair.1 as usize]].concat())
    }

    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Iterates over the tokens in byte-level characters, with their ids.
    pub fn tokens(&self) -> impl Iterator<Item = (String, u32)> {
        (0..self.tokens.len() as u32).map(|id| (self.text(id), id))
    }

    /// Iterates over the merged pairs in byte-level characters. A pair may occur twice; the last one counts.
    pub fn merges(&self) -> impl Iterator<Item = (String, String)> {
        self.merges.iter().map(|(left, right)| (self.text(*left), self.text(*right)))
    }

    fn text(&self, id: u32) -> String {
        self.tokens[id as usize].iter().map(|byte| byte_char(*byte)).collect()
    }
}
