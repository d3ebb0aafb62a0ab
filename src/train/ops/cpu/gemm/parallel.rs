//! Products on all threads.
//!
//! One operand is packed for all, pieces of the other, longer one are tasks. How many tasks there are
//! changes no bit: an element is summed in the same order whatever piece it falls into.

use std::ops::Range;

use rayon::prelude::*;

use super::pack::{pack_left, pack_right};
use super::product::{inner_blocks, panels_len, with_scratch};
use super::tile::{Panels, TILE_COLUMNS, TILE_ROWS, multiply};
use super::{Output, Target, View};

/// Panels of a task's operand at most: they stay in the second cache.
const MOST_PANELS: usize = 16;
/// Tasks for each thread at least, so that none waits long for the last.
const TASKS_PER_THREAD: usize = 8;
/// Elements of the shared operand that are packed at a time, at least one block.
const SHARED: usize = 1 << 19;
/// Panels of the shared operand that one task packs.
const PANELS_PER_PACK: usize = 4;

/// `a b`, row-major.
///
/// # Panics
/// When the inner dimensions differ.
pub fn parallel_product(a: View<'_>, b: View<'_>) -> Vec<f32> {
    allocated(a, b, Start::Nothing)
}

/// `residual + a b`, row-major.
///
/// # Panics
/// When the shapes do not fit.
pub fn parallel_product_onto(residual: &[f32], a: View<'_>, b: View<'_>) -> Vec<f32> {
    assert_eq!(residual.len(), a.rows() * b.columns(), "the residual has one element per row and column");
    allocated(a, b, Start::From(residual))
}

/// As [`parallel_product`], into memory that exists: `out = a b` or `out += a b`.
///
/// # Panics
/// When the shapes do not fit.
pub fn parallel_product_into(out: &mut [f32], a: View<'_>, b: View<'_>, output: Output) {
    assert_eq!(out.len(), a.rows() * b.columns(), "the output has one element per row and column");
    let start = match output {
        Output::Overwrite => Start::Nothing,
        Output::Add => Start::There,
    };
    let target = Target::new(out, b.columns());
    // SAFETY: `out` is borrowed exclusively and has exactly the elements of the product.
    unsafe { Split::new(target, a, b, start).run() }
}

fn allocated(a: View<'_>, b: View<'_>, start: Start<'_>) -> Vec<f32> {
    let len = a.rows() * b.columns();
    let mut out = Vec::with_capacity(len);
    let target = Target::spare(&mut out, b.columns());
    // SAFETY: the allocation has room for the product and is ours alone. It is written before it is
    // read, and the tiles cover all of it, so that afterwards its elements are initialised.
    unsafe {
        Split::new(target, a, b, start).run();
        out.set_len(len);
    }
    out
}

/// What the product is added to.
#[derive(Clone, Copy)]
enum Start<'a> {
    Nothing,
    /// The values that the output holds.
    There,
    /// A matrix of the output's shape, without gaps.
    From(&'a [f32]),
}

/// The dimension of the output that is split into tasks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Axis {
    Rows,
    Columns,
}

struct Split<'a> {
    target: Target,
    a: View<'a>,
    b: View<'a>,
    start: Start<'a>,
    axis: Axis,
}

impl<'a> Split<'a> {
    fn new(target: Target, a: View<'a>, b: View<'a>, start: Start<'a>) -> Self {
        assert_eq!(a.columns(), b.rows(), "inner dimensions");
        let axis = if a.rows() < b.columns() { Axis::Columns } else { Axis::Rows };
        Split { target, a, b, start, axis }
    }

    /// # Safety
    /// The elements of the output are valid for writes, initialised when the product is added to them,
    /// and used by no one else meanwhile.
    unsafe fn run(&self) {
        let blocks: Vec<Range<usize>> = inner_blocks(self.a.columns()).collect();
        let longest = blocks.iter().map(Range::len).max().unwrap_or(0);
        let at_once = (SHARED / self.shared_len(longest).max(1)).max(1);
        for (index, blocks) in blocks.chunks(at_once).enumerate() {
            let len = blocks.iter().map(|block| self.shared_len(block.len())).sum();
            with_scratch([0, len], |[_, shared]| {
                self.pack_shared(shared, blocks);
                let start = if index == 0 { self.start } else { Start::There };
                // SAFETY: tasks are disjoint parts of the output, which the caller vouches for.
                self.tasks().into_par_iter().for_each(|part| unsafe { self.task(part, shared, blocks, start) });
            });
        }
    }

    fn tasks(&self) -> Vec<Range<usize>> {
        let (len, tile) = match self.axis {
            Axis::Rows => (self.a.rows(), TILE_ROWS),
            Axis::Columns => (self.b.columns(), TILE_COLUMNS),
        };
        let tasks = rayon::current_num_threads() * TASKS_PER_THREAD;
        let step = (len.div_ceil(tile) / tasks).clamp(1, MOST_PANELS) * tile;
        (0..len).step_by(step).map(|first| first..len.min(first + step)).collect()
    }

    /// Rows or columns of the shared operand, and those of one of its panels.
    fn shared_side(&self) -> (usize, usize) {
        match self.axis {
            Axis::Rows => (self.b.columns(), TILE_COLUMNS),
            Axis::Columns => (self.a.rows(), TILE_ROWS),
        }
    }

    fn shared_len(&self, inner: usize) -> usize {
        let (len, tile) = self.shared_side();
        panels_len(len, tile, inner)
    }

    /// Packs the shared operand, block after block.
    fn pack_shared(&self, mut shared: &mut [f32], blocks: &[Range<usize>]) {
        let (len, tile) = self.shared_side();
        let step = PANELS_PER_PACK * tile;
        let mut pieces = Vec::new();
        for block in blocks.iter().filter(|block| !block.is_empty()) {
            let (packed, rest) = shared.split_at_mut(self.shared_len(block.len()));
            shared = rest;
            let parts = packed.chunks_mut(step * block.len()).zip((0..len).step_by(step));
            pieces.extend(parts.map(|(out, first)| (out, first..len.min(first + step), block.clone())));
        }
        pieces.into_par_iter().for_each(|(out, part, block)| match self.axis {
            Axis::Rows => pack_right(out, self.b, part, block),
            Axis::Columns => pack_left(out, self.a, part, block),
        });
    }

    /// Computes rows or columns `part` of the output from the packed `blocks`.
    ///
    /// # Safety
    /// As for [`Split::run`], for this part.
    unsafe fn task(&self, part: Range<usize>, mut shared: &[f32], blocks: &[Range<usize>], start: Start<'_>) {
        let (tile, place) = match self.axis {
            Axis::Rows => (TILE_ROWS, self.target.offset(part.start, 0)),
            Axis::Columns => (TILE_COLUMNS, self.target.offset(0, part.start)),
        };
        if let Start::From(values) = start {
            // SAFETY: the caller's promise.
            unsafe { self.copy(part.clone(), values) };
        }
        let longest = blocks.iter().map(Range::len).max().unwrap_or(0);
        with_scratch([panels_len(part.len(), tile, longest), 0], |[own, _]| {
            for (index, block) in blocks.iter().enumerate() {
                let own = &mut own[..panels_len(part.len(), tile, block.len())];
                let (packed, rest) = shared.split_at(self.shared_len(block.len()));
                shared = rest;
                let inner = block.len();
                let panels = match self.axis {
                    Axis::Rows => {
                        pack_left(own, self.a, part.clone(), block.clone());
                        Panels { left: own, right: packed, inner, rows: part.len(), columns: self.b.columns() }
                    }
                    Axis::Columns => {
                        pack_right(own, self.b, part.clone(), block.clone());
                        Panels { left: packed, right: own, inner, rows: self.a.rows(), columns: part.len() }
                    }
                };
                let first = index == 0 && matches!(start, Start::Nothing);
                let output = if first { Output::Overwrite } else { Output::Add };
                // SAFETY: the caller's promise; what is added to was written before.
                unsafe { multiply(place, panels, 1.0, output) }
            }
        });
    }

    /// Copies rows or columns `part` of `values` to the output.
    ///
    /// # Safety
    /// As for [`Split::run`], for this part.
    unsafe fn copy(&self, part: Range<usize>, values: &[f32]) {
        let columns = self.b.columns();
        let (rows, wanted) = match self.axis {
            Axis::Rows => (part, 0..columns),
            Axis::Columns => (0..self.a.rows(), part),
        };
        for row in rows {
            let from = &values[row * columns..][wanted.clone()];
            // SAFETY: elements of the output, which no one else uses; `values` is another allocation.
            unsafe { from.as_ptr().copy_to_nonoverlapping(self.target.at(row, wanted.start), from.len()) };
        }
    }
}
