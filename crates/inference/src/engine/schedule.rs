//! Which tokens the next step computes, and where their keys and values go.
//!
//! Sequences run in the order of their arrival. When the cache is full, the youngest one gives its blocks back and waits
//! until there is space; its tokens are computed again then, to the same bits.

use std::collections::VecDeque;

use super::options::PrefixCache;
use super::sequence::Sequence;
use crate::cache::{BLOCK_TOKENS, Blocks, Node};

/// Sequences that wait and that run.
pub(super) struct Schedule<'m> {
    pub waiting: VecDeque<Sequence<'m>>,
    /// By arrival.
    pub running: Vec<Sequence<'m>>,
    pub blocks: Blocks,
    pub slots: usize,
    pub prefill_chunk: usize,
    pub prefix_cache: PrefixCache,
    pub preemptions: u64,
}

impl<'m> Schedule<'m> {
    /// Moves sequences into the batch while there is space.
    fn admit(&mut self) {
        let mut index = 0;
        while self.running.len() < self.slots && index < self.waiting.len() {
            if self.waits_for_sibling(&self.waiting[index]) {
                index += 1;
                continue;
            }
            // Space for its tokens, and for one more block of each running sequence; alone it always fits.
            let needed = self.waiting[index].tokens.len().div_ceil(BLOCK_TOKENS) + self.running.len();
            if !self.running.is_empty() && needed > self.blocks.available_in_company() {
                return;
            }
            let Some(mut sequence) = self.waiting.remove(index) else { return };
            self.reuse_prefix(&mut sequence);
            let place = self.running.partition_point(|other| other.arrival < sequence.arrival);
            self.running.insert(place, sequence);
        }
    }

    /// Completions of one prompt share its blocks, once the first has computed them.
    fn waits_for_sibling(&self, sequence: &Sequence<'_>) -> bool {
        let shares = self.prefix_cache == PrefixCache::On && sequence.prompt_len > BLOCK_TOKENS;
        shares && self.running.iter().any(|other| other.id == sequence.id && other.is_prefilling())
    }

    /// Takes the blocks that hold the first tokens of the sequence already. The last token is always computed, for its
    /// logits.
    fn reuse_prefix(&mut self, sequence: &mut Sequence<'m>) {
        if self.prefix_cache == PrefixCache::Off || sequence.scores_prompt() {
            return;
        }
        let (whole, _) = sequence.tokens[..sequence.tokens.len() - 1].as_chunks::<BLOCK_TOKENS>();
        for tokens in whole {
            let Some((block, node)) = self.blocks.find(sequence.node, tokens) else { break };
            sequence.blocks.push(block);
            sequence.node = node;
            sequence.published += 1;
            sequence.computed += BLOCK_TOKENS;
        }
        sequence.cached_tokens.get_or_insert(sequence.computed);
    }

    /// Chooses the tokens of the next step: for each running sequence how many, with blocks for all of them.
    pub fn plan(&mut self) -> Vec<usize> {
        self.admit();
        let mut budget = self.prefill_chunk;
        let mut counts = Vec::with_capacity(self.running.len());
        let mut index = 0;
        while index < self.running.len() {
            let pending = self.running[index].pending();
            let count = if pending == 1 { 1 } else { pending.min(budget) };
            if !self.provide(index, count) {
                // It has given its own blocks back, and so have all younger ones.
                break;
            }
            budget -= if pending == 1 { 0 } else { count };
            counts.push(count);
            index += 1;
        }
        counts
    }

    /// Provides blocks for the next `count` tokens of a running sequence, from younger ones if need be. False if it was
    /// the youngest itself.
    fn provide(&mut self, index: usize, count: usize) -> bool {
        let needed = (self.running[index].computed + count).div_ceil(BLOCK_TOKENS);
        while self.running[index].blocks.len() < needed {
            let may = self.running.len() == 1 || self.blocks.available_in_company() > 0;
            match may.then(|| self.blocks.take()).flatten() {
                Some(block) => self.running[index].blocks.push(block),
                None => {
                    let youngest = self.running.len() - 1;
                    self.preempt(youngest);
                    if youngest == index {
                        return false;
                    }
                }
            }
        }
        true
    }

    fn preempt(&mut self, index: usize) {
        let mut sequence = self.running.remove(index);
        self.release(&mut sequence);
        self.preemptions += 1;
        let place = self.waiting.partition_point(|other| other.arrival < sequence.arrival);
        self.waiting.insert(place, sequence);
    }

    /// Gives all blocks of a sequence back.
    pub fn release(&mut self, sequence: &mut Sequence<'m>) {
        self.blocks.release(&sequence.blocks);
        sequence.blocks.clear();
        (sequence.computed, sequence.published, sequence.node) = (0, 0, Node::root(sequence.extended));
        if sequence.scores_prompt() {
            sequence.prompt_logprobs.clear();
        }
    }

    /// Notes that the next `count` tokens of a running sequence are in the cache.
    pub fn advance(&mut self, index: usize, count: usize) {
        let sequence = &mut self.running[index];
        sequence.computed += count;
        if self.prefix_cache == PrefixCache::Off {
            return;
        }
        let (whole, _) = sequence.tokens[..sequence.computed].as_chunks::<BLOCK_TOKENS>();
        for (block, tokens) in whole.iter().enumerate().skip(sequence.published) {
            sequence.node = self.blocks.publish(sequence.node, tokens, sequence.blocks[block]);
            sequence.published += 1;
        }
    }
}
