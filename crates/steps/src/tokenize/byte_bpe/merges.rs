//! Byte-pair merges inside one word, with the same results as Hugging Face's `tokenizers`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::hash::FastMap;

/// Merge rules: the pairs of neighbours that become one token, and their order.
pub struct Merges {
    /// Token of each single byte.
    pub bytes: [u32; 256],
    /// Maps a pair of tokens to the rank of its merge and the merged token.
    pub pairs: FastMap<(u32, u32), (u32, u32)>,
}

/// Memory reused from word to word.
#[derive(Default)]
pub struct Scratch {
    symbols: Vec<Symbol>,
    queue: BinaryHeap<Reverse<(u32, u32)>>,
}

/// A token of the word being encoded, in a linked list by position.
#[derive(Clone, Copy)]
struct Symbol {
    id: u32,
    previous: u32,
    next: u32,
    /// Rank and token of the merge with the next symbol; `NONE` without such a merge, or when this symbol is gone.
    merge: (u32, u32),
}

impl Scratch {
    /// Frees the memory of a very long word.
    pub fn shrink(&mut self) {
        /// Longest word, in bytes, whose memory is kept.
        const KEPT: usize = 1 << 16;
        self.symbols.clear();
        self.symbols.shrink_to(KEPT);
        self.queue.shrink_to(KEPT);
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.symbols.capacity() * size_of::<Symbol>() + self.queue.capacity() * size_of::<Reverse<(u32, u32)>>()
    }
}

/// Marks a missing position or rank.
const NONE: u32 = u32::MAX;

impl Merges {
    fn merge(&self, left: u32, right: u32) -> (u32, u32) {
        self.pairs.get(&(left, right)).copied().unwrap_or((NONE, NONE))
    }

    /// Appends the tokens of a word to `ids`. Applies the possible merge with the lowest rank, the leftmost of
    /// equals, until no merge is left.
    pub fn encode_word(&self, word: &[u8], scratch: &mut Scratch, ids: &mut Vec<u32>) {
        let Scratch { symbols, queue } = scratch;
        symbols.clear();
        queue.clear();
        let mut at = 0;
        symbols.extend(word.iter().map(|byte| {
            let id = self.bytes[usize::from(*byte)];
            let symbol = Symbol { id, previous: u32::wrapping_sub(at, 1), next: at + 1, merge: (NONE, NONE) };
            at += 1;
            symbol
        }));
        let end = at;
        for left in 1..symbols.len() {
            self.offer(symbols, queue, left as u32 - 1, left as u32);
        }
        while let Some(Reverse((rank, left))) = queue.pop() {
            let Symbol { previous, next: right, merge, .. } = symbols[left as usize];
            // The pair has changed since this offer.
            if merge.0 != rank {
                continue;
            }
            let next = symbols[right as usize].next;
            symbols[right as usize].merge = (NONE, NONE);
            let merged = &mut symbols[left as usize];
            (merged.id, merged.next, merged.merge) = (merge.1, next, (NONE, NONE));
            if next != end {
                symbols[next as usize].previous = left;
                self.offer(symbols, queue, left, next);
            }
            if previous != NONE {
                self.offer(symbols, queue, previous, left);
            }
        }
        let mut at = 0;
        while at != end {
            let symbol = symbols[at as usize];
            ids.push(symbol.id);
            at = symbol.next;
        }
    }

    fn offer(&self, symbols: &mut [Symbol], queue: &mut BinaryHeap<Reverse<(u32, u32)>>, left: u32, right: u32) {
        let merge = self.merge(symbols[left as usize].id, symbols[right as usize].id);
        symbols[left as usize].merge = merge;
        if merge.0 != NONE {
            queue.push(Reverse((merge.0, left)));
        }
    }
}
