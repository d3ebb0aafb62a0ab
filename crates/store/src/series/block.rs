//! One block: the extremes of each number of some neighbouring rows.

use std::collections::BTreeMap;

use super::extremes::{Extremes, Point};
use crate::rows::NamedValue;

/// Rows of a block of level 1.
pub(crate) const ROWS: usize = 64;
/// Blocks of the level below that a block stands for.
pub(crate) const WIDTH: usize = 16;
/// Levels of blocks: one of the highest stands for 17,000,000,000 rows.
pub(crate) const LEVELS: u32 = 8;

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Block {
    pub(crate) first_step: u64,
    pub(crate) last_step: u64,
    pub(crate) names: BTreeMap<String, Extremes>,
}

impl Block {
    pub(crate) fn of_row(train_step: u64, values: &[NamedValue]) -> Block {
        let mut block = Block { first_step: train_step, last_step: train_step, names: BTreeMap::new() };
        block.add_row(train_step, values);
        block
    }

    /// Adds the row that follows.
    pub(crate) fn add_row(&mut self, train_step: u64, values: &[NamedValue]) {
        self.last_step = train_step;
        for (name, value) in values {
            self.add(name, &Extremes::of(Point { train_step, value: *value }));
        }
    }

    /// Adds the block that follows.
    pub(crate) fn join(&mut self, next: &Block) {
        self.last_step = next.last_step;
        next.names.iter().for_each(|(name, extremes)| self.add(name, extremes));
    }

    fn add(&mut self, name: &str, next: &Extremes) {
        match self.names.get_mut(name) {
            Some(extremes) => extremes.add(next),
            None => {
                self.names.insert(name.to_owned(), *next);
            }
        }
    }
}
