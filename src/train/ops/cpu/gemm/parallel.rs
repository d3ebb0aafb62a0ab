//! Products on all threads.
//!
//! One operand is packed for all, pieces of the other, longer one are tasks. How many tasks there are
//! changes no bit: an element is summed in the same order whatever piece it falls into.

use std::ops::Range;

use super::form::Form;
use super::operand::{Left, TILE_COLUMNS, TILE_ROWS};
use super::product::{inner_blocks, with_scratch};
use super::target::Source;
use super::tile::Product;
use super::{Target, View};
use crate::train::ops::team;

/// Panels of a task's operand at most: they stay in the second cache.
const MOST_PANELS: usize = 16;
/// Tasks for each of several threads at least, so that none waits long for the last.
const TASKS_PER_THREAD: usize = 4;
/// What a panel costs in units of what a task costs beside its panels. A thread with one task more than the others
/// keeps them waiting, so tasks of a size that divides evenly are better than large ones.
const PANEL_COST: usize = 8;
/// Elements of both operands that tasks pass at a time, at least one block of inner indices: they stay in the
/// second cache, as far as possible, until each task has read them.
const AT_ONCE: usize = 1 << 19;
/// Panels of the shared operand that one task packs.
const PANELS_PER_PACK: usize = 4;

/// `a b`, row-major.
///
/// # Panics
/// When the inner dimensions differ.
pub fn parallel_product(a: View<'_>, b: View<'_>, form: Form) -> Vec<f32> {
    allocated(a, b, Start::Nothing, form)
}

/// `residual + a b`, row-major.
///
/// # Panics
/// When the shapes do not fit.
pub fn parallel_product_onto(residual: &[f32], a: View<'_>, b: View<'_>, form: Form) -> Vec<f32> {
    assert_eq!(residual.len(), a.rows() * b.columns(), "the residual has one element per row and column");
    allocated(a, b, Start::From(residual), form)
}

/// `out += a b`; `out` is row-major without gaps.
///
/// # Panics
/// When the shapes do not fit.
pub fn parallel_product_add(out: &mut [f32], a: View<'_>, b: View<'_>, form: Form) {
    assert_eq!(out.len(), a.rows() * b.columns(), "the output has one element per row and column");
    let target = Target::new(out, b.columns());
    // SAFETY: `out` is borrowed exclusively and has exactly the elements of the product.
    unsafe { Split::new(target, a, b, Start::There, form).run() }
}

fn allocated(a: View<'_>, b: View<'_>, start: Start<'_>, form: Form) -> Vec<f32> {
    let len = a.rows() * b.columns();
    let mut out = Vec::with_capacity(len);
    let target = Target::spare(&mut out, b.columns());
    // SAFETY: the allocation has room for the product and is ours alone. It is written before it is
    // read, and the tiles cover all of it, so that afterwards its elements are initialised.
    unsafe {
        Split::new(target, a, b, start, form).run();
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
    form: Form,
    axis: Axis,
}

impl<'a> Split<'a> {
    fn new(target: Target, a: View<'a>, b: View<'a>, start: Start<'a>, form: Form) -> Self {
        assert_eq!(a.columns(), b.rows(), "inner dimensions");
        let axis = if a.rows() < b.columns() { Axis::Columns } else { Axis::Rows };
        Split { target, a, b, start, form, axis }
    }

    /// # Safety
    /// The elements of the output are valid for writes, initialised when the product is added to them,
    /// and used by no one else meanwhile.
    unsafe fn run(&self) {
        let blocks: Vec<Range<usize>> = inner_blocks(self.a.columns()).collect();
        let longest = blocks.iter().map(Range::len).max().unwrap_or(0);
        let both = (self.a.rows() + self.b.columns()) * longest;
        let at_once = AT_ONCE.checked_div(both).unwrap_or(1).max(1);
        for (index, blocks) in blocks.chunks(at_once).enumerate() {
            let len = blocks.iter().map(|block| self.shared_len(block.len())).sum();
            with_scratch([0, len], |[_, shared]| {
                self.pack_shared(shared, blocks);
                let onto = match self.start {
                    Start::Nothing if index == 0 => None,
                    Start::From(values) if index == 0 => Some(Source::new(values, self.b.columns())),
                    _ => Some(self.target.source()),
                };
                // SAFETY: tasks are disjoint parts of the output, which the caller vouches for.
                team::each(self.tasks(), |part| unsafe { self.task(part, shared, blocks, onto) });
            });
        }
    }

    fn tasks(&self) -> Vec<Range<usize>> {
        let (len, tile) = match self.axis {
            Axis::Rows => (self.a.rows(), TILE_ROWS),
            Axis::Columns => (self.b.columns(), TILE_COLUMNS),
        };
        let (panels, threads) = (len.div_ceil(tile), team::threads());
        let most = match threads {
            1 => MOST_PANELS,
            _ => (panels / (threads * TASKS_PER_THREAD)).clamp(1, MOST_PANELS),
        };
        let step = (1..=most).min_by_key(|step| panels.div_ceil(*step).div_ceil(threads) * (PANEL_COST * step + 1));
        let step = step.unwrap_or(1);
        // The last tasks are smaller ones: all threads are done at nearly the same time.
        let panels_of_next = |first: usize| ((panels - first) / threads).clamp(1, step);
        let starts = std::iter::successors(Some(0), |first| Some(first + panels_of_next(*first)));
        let starts = starts.take_while(|first| *first < panels);
        starts.map(|first| first * tile..len.min((first + panels_of_next(first)) * tile)).collect()
    }

    /// Elements of the packed shared operand; none when it is read where it lies.
    fn shared_len(&self, inner: usize) -> usize {
        match self.axis {
            Axis::Rows => self.form.right_len(self.b.columns(), inner),
            Axis::Columns => self.form.left_len(self.a, self.a.rows(), self.b.columns(), inner),
        }
    }

    /// Packs the shared operand, block after block.
    fn pack_shared(&self, mut shared: &mut [f32], blocks: &[Range<usize>]) {
        let (len, tile) = match self.axis {
            Axis::Rows => (self.b.columns(), TILE_COLUMNS),
            Axis::Columns => (self.a.rows(), TILE_ROWS),
        };
        let step = PANELS_PER_PACK * tile;
        let mut pieces = Vec::new();
        for block in blocks.iter().filter(|block| self.shared_len(block.len()) > 0) {
            let (packed, rest) = shared.split_at_mut(self.shared_len(block.len()));
            shared = rest;
            let parts = packed.chunks_mut(step * self.form.depth(block.len())).zip((0..len).step_by(step));
            pieces.extend(parts.map(|(out, first)| (out, first..len.min(first + step), block.clone())));
        }
        team::each(pieces, |(out, part, block)| match self.axis {
            Axis::Rows => self.form.copy_right(out, self.b.part(block, part)),
            Axis::Columns => self.form.copy_left(out, self.a.part(part, block)),
        });
    }

    /// Computes rows or columns `part` of the output from the packed `blocks`.
    ///
    /// # Safety
    /// As for [`Split::run`], for this part.
    unsafe fn task(&self, part: Range<usize>, mut shared: &[f32], blocks: &[Range<usize>], onto: Option<Source>) {
        let (row, column) = match self.axis {
            Axis::Rows => (part.start, 0),
            Axis::Columns => (0, part.start),
        };
        let target = self.target.offset(row, column);
        let longest = blocks.iter().map(Range::len).max().unwrap_or(0);
        with_scratch([self.own_len(part.len(), longest), 0], |[room, _]| {
            for (index, block) in blocks.iter().enumerate() {
                let (packed, rest) = shared.split_at(self.shared_len(block.len()));
                shared = rest;
                let (left, right) = match self.axis {
                    Axis::Rows => {
                        let right = self.form.right(packed, self.b.columns(), block.len());
                        let left = self.a.part(part.clone(), block.clone());
                        (self.form.left_operand(left, self.b.columns(), room), right)
                    }
                    Axis::Columns => {
                        let left = self.a.part(0..self.a.rows(), block.clone());
                        let left = match packed.is_empty() {
                            true => Left::of(left),
                            false => self.form.left(packed, left),
                        };
                        (left, self.form.right_operand(self.b.part(block.clone(), part.clone()), room))
                    }
                };
                let onto = match index {
                    0 => onto.map(|onto| onto.offset(row, column)),
                    _ => Some(target.source()),
                };
                let product = Product { target, onto, left, right, scale: 1.0 };
                // SAFETY: the caller's promise; what is added to was written before.
                unsafe { self.form.multiply(product) }
            }
        });
    }

    /// Elements of a task's own packed operand.
    fn own_len(&self, part: usize, inner: usize) -> usize {
        match self.axis {
            Axis::Rows => self.form.left_len(self.a, part, self.b.columns(), inner),
            Axis::Columns => self.form.right_len(part, inner),
        }
    }
}
