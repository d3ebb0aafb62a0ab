//! Byte-pair merges inside one word, with the results of Hugging Face's `tokenizers`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::hash::FastMap;

/// Which neighbours become one token, and in which order.
pub struct Merges {
    /// Token of each byte.
    pub bytes: [u32; 256],
    /// From a pair of tokens to the rank of its merge and the token that it gives.
    pub pairs: FastMap<(u32, u32), (u32, u32)>,
}

/// Memory that is used again for each word.
#[derive(Default)]
pub struct Scratch {
    symbols: Vec<Symbol>,
    queue: BinaryHeap<Reverse<(u32, u32)>>,
}

/// A token of a word in the making. Symbols are a linked list by position.
#[derive(Clone, Copy)]
struct Symbol {
    id: u32,
    previous: u32,
    next: u32,
    /// The merge with the next symbol; `NONE` when there is none or this symbol is gone.
    merge: (u32, u32),
}

impl Scratch {
    /// Frees the memory of a very long word.
    pub fn shrink(&mut self) {
        /// Maximum length in bytes of a word whose memory is kept.
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

/// No position, no rank.
const NONE: u32 = u32::MAX;

impl Merges {
    fn merge(&self, left: u32, right: u32) -> (u32, u32) {
        self.pairs.get(&(left, right)).copied().unwrap_or((NONE, NONE))
    }

    /// Appends the tokens of a word to `ids`: of all possible merges the one with the lowest rank is done first, the
    /// leftmost of equals, until none is left.
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
            // An offer of a pair that has changed since.
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
