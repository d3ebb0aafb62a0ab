//! Who holds which block, and which block holds which tokens.
//!
//! Full blocks are indexed by their tokens and everything before them. The index compares the tokens themselves, so two
//! prefixes never collide. Blocks that nobody holds stay in the index until another sequence needs their space, least
//! recently used first.

use std::collections::{BTreeMap, HashMap};

use super::pool::BLOCK_TOKENS;

/// Everything up to the end of a block: a place in the tree of all prefixes in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Node(u64);

impl Node {
    /// Before the first block, of sequences with extended positions and of others.
    pub fn root(extended: bool) -> Node {
        Node(if extended { u64::MAX } else { 0 })
    }
}

type Tokens = [u32; BLOCK_TOKENS];

#[derive(Clone, Default)]
struct Block {
    holders: u32,
    /// Place in the index.
    key: Option<(Node, Box<Tokens>)>,
    /// When the last holder left; a key of `idle`.
    left: u64,
}

/// Bookkeeping of a pool.
pub struct Blocks {
    blocks: Vec<Block>,
    /// Most blocks that several sequences hold together; one alone may hold all.
    shared: usize,
    /// Blocks that nobody holds and that are not in the index.
    free: Vec<u32>,
    /// Blocks that nobody holds but that are in the index, by the time when the last holder left.
    idle: BTreeMap<u64, u32>,
    index: HashMap<(Node, Box<Tokens>), (u32, Node)>,
    /// Counts nodes and departures.
    clock: u64,
}

impl Blocks {
    pub fn new(count: usize, shared: usize) -> Self {
        Blocks {
            shared,
            blocks: vec![Block::default(); count],
            free: (0..count as u32).rev().collect(),
            idle: BTreeMap::new(),
            index: HashMap::new(),
            clock: 0,
        }
    }

    /// Number of all blocks.
    pub fn total(&self) -> usize {
        self.blocks.len()
    }

    /// Blocks that nobody holds.
    pub fn available(&self) -> usize {
        self.free.len() + self.idle.len()
    }

    /// Blocks that another sequence may take while several run.
    pub fn available_in_company(&self) -> usize {
        let held = self.total() - self.available();
        self.shared.saturating_sub(held).min(self.available())
    }

    /// Takes a block for writing, or `None` if all are held.
    pub fn take(&mut self) -> Option<u32> {
        // Blocks of earlier prompts are given up before memory is touched that several sequences would not need.
        let fresh = self.total() - self.free.len() < self.shared || self.idle.is_empty();
        let block = match self.free.pop_if(|_| fresh) {
            Some(block) => block,
            None => {
                let (_, block) = self.idle.pop_first()?;
                if let Some(key) = self.blocks[block as usize].key.take() {
                    self.index.remove(&key);
                }
                block
            }
        };
        self.blocks[block as usize].holders = 1;
        Some(block)
    }

    /// Releases the blocks of a sequence.
    pub fn release(&mut self, blocks: &[u32]) {
        // The first blocks leave last: a later block is of no use without them.
        for id in blocks.iter().rev() {
            let block = &mut self.blocks[*id as usize];
            block.holders -= 1;
            if block.holders > 0 {
                continue;
            }
            if block.key.is_some() {
                self.clock += 1;
                block.left = self.clock;
                self.idle.insert(block.left, *id);
            } else {
                self.free.push(*id);
            }
        }
    }

    /// Takes the block that holds `tokens` after `parent`, if there is one.
    pub fn find(&mut self, parent: Node, tokens: &Tokens) -> Option<(u32, Node)> {
        let (id, node) = *self.index.get(&(parent, Box::new(*tokens)))?;
        let block = &mut self.blocks[id as usize];
        if block.holders == 0 {
            self.idle.remove(&block.left);
        }
        block.holders += 1;
        Some((id, node))
    }

    /// Puts a full block that the caller holds into the index. If another block with the same tokens is there already, the
    /// caller's stays its own. Returns the node of these tokens.
    pub fn publish(&mut self, parent: Node, tokens: &Tokens, id: u32) -> Node {
        let key = (parent, Box::new(*tokens));
        if let Some((_, node)) = self.index.get(&key) {
            return *node;
        }
        self.clock += 1;
        let node = Node(self.clock);
        self.blocks[id as usize].key = Some(key.clone());
        self.index.insert(key, (id, node));
        node
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Tokens = [1; BLOCK_TOKENS];
    const B: Tokens = [2; BLOCK_TOKENS];

    #[test]
    fn a_block_is_found_after_its_own_prefix_only() {
        let mut blocks = Blocks::new(4, 4);
        let (first, second) = (blocks.take().unwrap(), blocks.take().unwrap());
        let node = blocks.publish(Node::root(false), &A, first);
        blocks.publish(node, &B, second);
        blocks.release(&[first, second]);
        assert_eq!(blocks.available(), 4);
        assert_eq!(blocks.find(Node::root(false), &B), None);
        let (found, node) = blocks.find(Node::root(false), &A).unwrap();
        assert_eq!((found, blocks.find(node, &B).map(|(block, _)| block)), (first, Some(second)));
        assert_eq!(blocks.available(), 2);
    }

    #[test]
    fn a_block_that_is_held_is_never_taken() {
        let mut blocks = Blocks::new(3, 3);
        let held = blocks.take().unwrap();
        blocks.publish(Node::root(false), &A, held);
        assert!(blocks.find(Node::root(false), &A).is_some());
        blocks.release(&[held]);
        assert_eq!([blocks.take(), blocks.take()].map(|block| block.is_some_and(|block| block != held)), [true; 2]);
        assert_eq!(blocks.take(), None);
        blocks.release(&[held]);
        assert_eq!(blocks.take(), Some(held));
        assert_eq!(blocks.find(Node::root(false), &A), None, "it was taken for other tokens");
    }

    #[test]
    fn the_least_recently_used_block_is_taken_and_the_end_of_a_text_before_its_start() {
        let mut blocks = Blocks::new(3, 3);
        let ids: Vec<u32> = (0..3).map(|_| blocks.take().unwrap()).collect();
        let node = blocks.publish(Node::root(false), &A, ids[0]);
        blocks.publish(node, &A, ids[1]);
        blocks.publish(Node::root(false), &B, ids[2]);
        blocks.release(&ids[..2]);
        blocks.release(&ids[2..]);
        assert_eq!((0..3).map(|_| blocks.take().unwrap()).collect::<Vec<u32>>(), [ids[1], ids[0], ids[2]]);
    }

    #[test]
    fn the_same_tokens_twice_keep_one_block_in_the_index() {
        let mut blocks = Blocks::new(2, 2);
        let (one, other) = (blocks.take().unwrap(), blocks.take().unwrap());
        let node = blocks.publish(Node::root(false), &A, one);
        assert_eq!(blocks.publish(Node::root(false), &A, other), node);
        blocks.release(&[other]);
        assert_eq!(blocks.find(Node::root(false), &A), Some((one, node)));
        assert_eq!(blocks.take(), Some(other));
    }

    #[test]
    fn blocks_beyond_those_of_company_are_taken_only_when_no_other_is_idle() {
        let mut blocks = Blocks::new(4, 2);
        let (first, second) = (blocks.take().unwrap(), blocks.take().unwrap());
        assert_eq!((blocks.available(), blocks.available_in_company()), (2, 0));
        blocks.publish(Node::root(false), &A, first);
        blocks.release(&[first]);
        assert_eq!(blocks.available_in_company(), 1);
        assert_eq!(blocks.take(), Some(first), "rather than memory that was never used");
        let further: Vec<u32> = std::iter::from_fn(|| blocks.take()).collect();
        assert!(further.len() == 2 && !further.contains(&second), "one sequence may take all");
        assert_eq!(blocks.available_in_company(), 0);
    }
}
