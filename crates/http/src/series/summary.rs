//! The series of one step in blocks of rows. It is built once and then follows the rows that come; a rewind of the series
//! removes rows, which the digests of the blocks' last rows tell.

use std::collections::BTreeMap;

use super::block::{Extremes, Point};
use crate::problem::Problem;
use stepwell_base::ids::{RunId, StepId};
use stepwell_store::{Reader, RowMark};

/// Rows of a block.
const ROWS: usize = 128;
/// Newest blocks that are read again each time: numbers may be added to rows that were just written.
const UNSETTLED: usize = 4;
/// Names of a series; a program that reports more has its first ones shown.
const MOST_NAMES: usize = 1000;

/// The step whose rows these are.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Place {
    pub run: RunId,
    pub step: StepId,
}

/// Training steps after `after` and up to `up_to`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Range {
    pub after: Option<u64>,
    pub up_to: Option<u64>,
}

impl Range {
    pub fn has(self, train_step: u64) -> bool {
        self.after.is_none_or(|after| train_step > after) && self.up_to.is_none_or(|up_to| train_step <= up_to)
    }
}

/// The extremes of each name in one block.
type Block = BTreeMap<String, Extremes>;

#[derive(Debug, Default)]
pub struct Summary {
    /// The last row of each block.
    ends: Vec<RowMark>,
    blocks: Vec<Block>,
    /// Blocks that are settled; the others are read again.
    settled: usize,
    names: BTreeMap<String, u64>,
}

impl Summary {
    /// Follows the rows of the database.
    ///
    /// # Errors
    /// When the rows cannot be read.
    pub fn follow(&mut self, reader: &Reader, place: &Place) -> Result<(), Problem> {
        self.drop_rewound(reader, place)?;
        self.cut(self.settled);
        let (ends, blocks, names) = (&mut self.ends, &mut self.blocks, &mut self.names);
        let after = ends.last().map(|end| end.train_step);
        let (mut block, mut rows, mut last) = (Block::new(), 0, None);
        reader.each_series_row((place.run, &place.step), (after, None), |mark, values| {
            for (name, value) in values {
                add(&mut block, names, name, Point { train_step: mark.train_step, value: *value });
            }
            rows += 1;
            last = Some(mark);
            if rows == ROWS {
                ends.push(mark);
                blocks.push(std::mem::take(&mut block));
                rows = 0;
            }
        })?;
        if let Some(mark) = last.filter(|_| rows > 0) {
            ends.push(mark);
            blocks.push(block);
        }
        self.settled = self.blocks.len().saturating_sub(UNSETTLED + 1);
        Ok(())
    }

    /// The pieces of a name in a range. A block at the edge of the range counts with the points that are inside.
    pub fn pieces(&self, name: &str, range: Range) -> Vec<Extremes> {
        let found = self.blocks.iter().filter_map(|block| block.get(name));
        let mut pieces = Vec::new();
        for extremes in found {
            if range.has(extremes.first.train_step) && range.has(extremes.last.train_step) {
                pieces.push(*extremes);
                continue;
            }
            let inside = [extremes.first, extremes.low, extremes.high, extremes.last];
            let mut inside: Vec<Point> = inside.into_iter().filter(|point| range.has(point.train_step)).collect();
            inside.sort_by_key(|point| point.train_step);
            pieces.extend(inside.into_iter().map(Extremes::of));
        }
        pieces
    }

    /// The names of the series, with the number of their values.
    pub fn names(&self) -> impl Iterator<Item = (&String, u64)> {
        self.names.iter().map(|(name, count)| (name, *count))
    }

    /// What it costs to remember it.
    pub fn size(&self) -> usize {
        self.blocks.iter().map(|block| block.len() + 1).sum()
    }

    /// Drops the blocks after the last one that is still there: a rewind removes the end of a series.
    fn drop_rewound(&mut self, reader: &Reader, place: &Place) -> Result<(), Problem> {
        let holds = |end: &RowMark| -> Result<bool, Problem> {
            Ok(reader.row_mark(place.run, &place.step, end.train_step)? == Some(*end))
        };
        let (mut low, mut high) = (0, self.settled);
        if high > 0 && holds(&self.ends[high - 1])? {
            return Ok(());
        }
        while low < high {
            let middle = (low + high) / 2;
            if holds(&self.ends[middle])? { low = middle + 1 } else { high = middle }
        }
        self.settled = low;
        Ok(())
    }

    fn cut(&mut self, blocks: usize) {
        self.ends.truncate(blocks);
        for block in self.blocks.drain(blocks.min(self.blocks.len())..) {
            for (name, extremes) in block {
                if let Some(count) = self.names.get_mut(&name) {
                    *count -= extremes.count;
                }
            }
        }
        self.names.retain(|_, count| *count > 0);
    }
}

fn add(block: &mut Block, names: &mut BTreeMap<String, u64>, name: &str, point: Point) {
    if let Some(count) = names.get_mut(name) {
        *count += 1;
    } else if names.len() < MOST_NAMES {
        names.insert(name.to_owned(), 1);
    } else {
        return;
    }
    let one = Extremes::of(point);
    match block.get_mut(name) {
        Some(extremes) => extremes.add(&one),
        None => {
            block.insert(name.to_owned(), one);
        }
    }
}
