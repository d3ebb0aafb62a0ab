//! Products on all threads.
//!
//! One operand is packed for all tasks; pieces of the other, longer one are the tasks. Where copying takes as long as
//! summing, both are packed for all. The number of tasks changes no bit: an element is summed in the same order in any
//! piece.

#![expect(unsafe_code, reason = "tasks write different parts of the output")]

use std::ops::Range;

use super::form::Form;
use super::microkernel::tile::Product;
use super::operand::{Left, Operand};
use super::product::with_scratch;
use super::target::Source;
use super::{Target, View};
use crate::cpu::thread_team;

/// Maximum panels of a task's operand: they stay in the L2 cache.
const MAX_PANELS: usize = 16;
/// Minimum tasks per thread (with several threads), so that none waits long for the last.
const TASKS_PER_THREAD: usize = 4;
/// Cost of a panel, in units of a task's fixed cost. A thread with one more task than the others keeps them waiting, so
/// tasks of a size that divides evenly beat large ones.
const PANEL_COST: usize = 8;
/// Elements of both operands processed at a time (at least one block of inner indices), so that they stay in the L2
/// cache, as far as possible, until each task has read them.
const AT_ONCE: usize = 1 << 19;
/// Panels of the shared operand per packing task.
const PANELS_PER_PACK: usize = 4;
/// Panels per packing task where copying takes as long as summing: longer contiguous reads.
const PANELS_PER_LONG_PACK: usize = 8;
/// Maximum rows or columns that are copied for all tasks in that case; the parts copied by single tasks would be short
/// runs.
const MAX_SHARED_LINES: usize = 2048;

/// `a b`, row-major.
///
/// # Panics
/// If the inner dimensions differ.
pub fn parallel_product(a: View<'_>, b: View<'_>, form: Form) -> Vec<f32> {
    allocated(a, b, Start::Zero, form)
}

/// `residual + a b`, row-major.
///
/// # Panics
/// If the shapes do not match.
pub fn parallel_product_onto(residual: &[f32], a: View<'_>, b: View<'_>, form: Form) -> Vec<f32> {
    assert_eq!(residual.len(), a.rows() * b.columns(), "the residual has one element per row and column");
    allocated(a, b, Start::Matrix(residual), form)
}

/// `out += a b`; `out` is row-major without gaps.
///
/// # Panics
/// If the shapes do not match.
pub fn parallel_product_add(out: &mut [f32], a: View<'_>, b: View<'_>, form: Form) {
    assert_eq!(out.len(), a.rows() * b.columns(), "the output has one element per row and column");
    let target = Target::new(out, b.columns());
    // SAFETY: `out` is borrowed exclusively and has exactly the elements of the product.
    unsafe { Split::new(target, a, b, Start::Output, form).run() }
}

fn allocated(a: View<'_>, b: View<'_>, start: Start<'_>, form: Form) -> Vec<f32> {
    let len = a.rows() * b.columns();
    let mut out = Vec::with_capacity(len);
    let target = Target::spare(&mut out, b.columns());
    // SAFETY: the allocation has capacity for the product and is borrowed exclusively. It is written before it is read,
    // and the tiles cover all of it, so afterwards its elements are initialised.
    unsafe {
        Split::new(target, a, b, start, form).run();
        out.set_len(len);
    }
    out
}

/// Matrix that the product is added to.
#[derive(Clone, Copy)]
enum Start<'a> {
    Zero,
    /// The current values of the output.
    Output,
    /// A matrix of the output's shape, without gaps.
    Matrix(&'a [f32]),
}

struct Split<'a> {
    target: Target,
    a: View<'a>,
    b: View<'a>,
    start: Start<'a>,
    form: Form,
    /// The longer operand, whose rows or columns are split into tasks.
    split: Operand,
}

impl<'a> Split<'a> {
    fn new(target: Target, a: View<'a>, b: View<'a>, start: Start<'a>, form: Form) -> Self {
        assert_eq!(a.columns(), b.rows(), "inner dimensions");
        let split = if a.rows() < b.columns() { Operand::Right } else { Operand::Left };
        Split { target, a, b, start, form, split }
    }

    /// # Safety
    /// The elements of the output must be valid for writes, initialised if the product is added to them, and nothing
    /// else may use them meanwhile.
    /// and used by no one else meanwhile.
    unsafe fn run(&self) {
        let blocks: Vec<Range<usize>> = self.form.inner_blocks(self.a.columns()).collect();
        let longest = blocks.iter().map(Range::len).max().unwrap_or(0);
        let both = (self.a.rows() + self.b.columns()) * longest;
        let at_once = AT_ONCE.checked_div(both).unwrap_or(1).max(1);
        for (index, blocks) in blocks.chunks(at_once).enumerate() {
            let len = blocks.iter().map(|block| self.shared_len(block.len())).sum();
            with_scratch([0, len], |[_, shared]| {
                self.pack_shared(shared, blocks);
                let onto = match self.start {
                    Start::Zero if index == 0 => None,
                    Start::Matrix(values) if index == 0 => Some(Source::new(values, self.b.columns())),
                    _ => Some(self.target.source()),
                };
                // SAFETY: tasks write disjoint parts of the output, which the caller vouches for.
                thread_team::each(self.tasks(), |part| unsafe { self.task(part, shared, blocks, onto) });
            });
        }
    }

    fn tasks(&self) -> Vec<Range<usize>> {
        let (len, tile) = (self.lines(self.split), self.form.panel(self.split));
        let (panels, threads) = (len.div_ceil(tile), thread_team::threads());
        let most = match threads {
            1 => MAX_PANELS,
            _ => (panels / (threads * TASKS_PER_THREAD)).clamp(1, MAX_PANELS),
        };
        let step = (1..=most).min_by_key(|step| panels.div_ceil(*step).div_ceil(threads) * (PANEL_COST * step + 1));
        let step = step.unwrap_or(1);
        // The last tasks are smaller, so that all threads finish at nearly the same time.
        let panels_of_next = |first: usize| ((panels - first) / threads).clamp(1, step);
        let starts = std::iter::successors(Some(0), |first| Some(first + panels_of_next(*first)));
        let starts = starts.take_while(|first| *first < panels);
        starts.map(|first| first * tile..len.min((first + panels_of_next(first)) * tile)).collect()
    }

    fn shared(&self) -> impl Iterator<Item = Operand> {
        let own = self.own();
        [Operand::Left, Operand::Right].into_iter().filter(move |operand| Some(*operand) != own)
    }

    /// The split operand, if each task copies its own part. A short one is copied for all tasks, in longer runs.
    fn own(&self) -> Option<Operand> {
        let each = !self.form.shares_copies() || self.lines(self.split) > MAX_SHARED_LINES;
        each.then_some(self.split)
    }

    /// Elements of the copy of `lines` rows or columns of an operand; 0 if it is read in place.
    fn copy_len(&self, operand: Operand, lines: usize, inner: usize) -> usize {
        match operand {
            Operand::Left => self.form.left_len(self.a, lines, self.b.columns(), inner),
            Operand::Right => self.form.right_len(lines, inner),
        }
    }

    /// Rows of the left operand or columns of the right one.
    fn lines(&self, operand: Operand) -> usize {
        match operand {
            Operand::Left => self.a.rows(),
            Operand::Right => self.b.columns(),
        }
    }

    fn shared_len(&self, inner: usize) -> usize {
        self.shared().map(|operand| self.copy_len(operand, self.lines(operand), inner)).sum()
    }

    fn pack_shared(&self, mut shared: &mut [f32], blocks: &[Range<usize>]) {
        let mut pieces = Vec::new();
        for block in blocks {
            for operand in self.shared() {
                let lines = self.lines(operand);
                let (copy, rest) = shared.split_at_mut(self.copy_len(operand, lines, block.len()));
                shared = rest;
                let panels = if self.form.shares_copies() { PANELS_PER_LONG_PACK } else { PANELS_PER_PACK };
                let step = panels * self.form.panel(operand);
                let parts = copy.chunks_mut((step * self.form.depth(block.len())).max(1)).zip((0..lines).step_by(step));
                pieces.extend(parts.map(|(out, first)| (operand, out, first..lines.min(first + step), block.clone())));
            }
        }
        thread_team::each(pieces, |(operand, out, lines, block)| match operand {
            Operand::Left => self.form.copy_left(out, self.a.part(lines, block)),
            Operand::Right => self.form.copy_right(out, self.b.part(block, lines)),
        });
    }

    /// Computes rows or columns `part` of the output from the packed `blocks`.
    ///
    /// # Safety
    /// Same contract as [`Split::run`], for this part.
    unsafe fn task(&self, part: Range<usize>, mut shared: &[f32], blocks: &[Range<usize>], onto: Option<Source>) {
        let own_lines = part.len();
        let (rows, columns) = match self.split {
            Operand::Left => (part, 0..self.b.columns()),
            Operand::Right => (0..self.a.rows(), part),
        };
        let target = self.target.offset(rows.start, columns.start);
        let longest = blocks.iter().map(Range::len).max().unwrap_or(0);
        let own_len = self.own().map_or(0, |operand| self.copy_len(operand, own_lines, longest));
        with_scratch([own_len, 0], |[scratch, _]| {
            for (index, block) in blocks.iter().enumerate() {
                let mut copy = |operand| {
                    let (copy, rest) = shared.split_at(self.copy_len(operand, self.lines(operand), block.len()));
                    shared = rest;
                    copy
                };
                let (form, a, b) = (self.form, self.a, self.b);
                let (left, right) = match self.own() {
                    Some(Operand::Left) => {
                        let right = form.right(copy(Operand::Right), b.columns(), block.len());
                        (form.left_operand(a.part(rows.clone(), block.clone()), b.columns(), scratch), right)
                    }
                    Some(Operand::Right) => {
                        let (copy, left) = (copy(Operand::Left), a.part(rows.clone(), block.clone()));
                        let left = if copy.is_empty() { Left::of(left) } else { form.left(copy, left) };
                        (left, form.right_copy(b.part(block.clone(), columns.clone()), scratch))
                    }
                    None => {
                        let (left, right, depth) = (copy(Operand::Left), copy(Operand::Right), form.depth(block.len()));
                        let left = form.left(&left[rows.start * depth..], a.part(rows.clone(), block.clone()));
                        (left, form.right(right, b.columns(), block.len()).part(0..depth, columns.clone()))
                    }
                };
                let onto = match index {
                    0 => onto.map(|onto| onto.offset(rows.start, columns.start)),
                    _ => Some(target.source()),
                };
                let product = Product { target, onto, left, right, scale: 1.0 };
                // SAFETY: the caller's promise; the values added to were written before.
                unsafe { self.form.multiply(product) }
            }
        });
    }
}
