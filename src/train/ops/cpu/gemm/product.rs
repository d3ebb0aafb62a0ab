//! Products on the calling thread.

use std::cell::Cell;
use std::ops::Range;

use super::pack::{pack_left, pack_right};
use super::tile::{Panels, TILE_COLUMNS, TILE_ROWS, multiply};
use super::{Output, Target, View};

/// Inner indices whose panels stay in the first cache together.
const INNER: usize = 384;

/// The inner indices in blocks of nearly equal length. They depend on the shape alone, because they
/// decide in which order an element is summed.
pub fn inner_blocks(inner: usize) -> impl Iterator<Item = Range<usize>> {
    let blocks = inner.div_ceil(INNER).max(1);
    (0..blocks).map(move |block| inner * block / blocks..inner * (block + 1) / blocks)
}

/// Elements of the panels of `rows` rows or columns.
pub fn panels_len(rows: usize, tile: usize, inner: usize) -> usize {
    rows.next_multiple_of(tile) * inner
}

thread_local! {
    /// Memory for packed operands, which each thread keeps.
    static SCRATCH: Cell<[Vec<f32>; 2]> = const { Cell::new([Vec::new(), Vec::new()]) };
}

/// Runs `use_it` with memory for a left and a right operand, in which anything may stand.
pub fn with_scratch<R>(lengths: [usize; 2], use_it: impl FnOnce([&mut [f32]; 2]) -> R) -> R {
    // Taken, not borrowed: a thread that waits for others may begin another product meanwhile.
    let mut scratch = SCRATCH.take();
    for (scratch, len) in scratch.iter_mut().zip(lengths) {
        if scratch.len() < len {
            scratch.resize(len, 0.0);
        }
    }
    let [left, right] = &mut scratch;
    let result = use_it([&mut left[..lengths[0]], &mut right[..lengths[1]]]);
    SCRATCH.set(scratch);
    result
}

/// `out = scale * a b` or `out += scale * a b` on this thread; `out` is row-major without gaps.
///
/// # Panics
/// When the shapes do not fit.
pub fn product(out: &mut [f32], a: View<'_>, b: View<'_>, scale: f32, output: Output) {
    assert_eq!(out.len(), a.rows() * b.columns(), "the output has one element per row and column");
    let target = Target::new(out, b.columns());
    // SAFETY: `out` is borrowed exclusively and has exactly the elements of the product.
    unsafe { product_into(target, a, b, scale, output) }
}

/// [`product`] into a part of a matrix that other threads write other parts of.
///
/// # Safety
/// The `a.rows` x `b.columns` elements of `out` are valid for writes, initialised when
/// [`Output::Add`], and no other thread or reference uses them during the call.
///
/// # Panics
/// When the inner dimensions differ.
pub unsafe fn product_into(out: Target, a: View<'_>, b: View<'_>, scale: f32, output: Output) {
    assert_eq!(a.columns(), b.rows(), "inner dimensions");
    let (rows, columns, inner) = (a.rows(), b.columns(), a.columns());
    let longest = INNER.min(inner);
    let lengths = [panels_len(rows, TILE_ROWS, longest), panels_len(columns, TILE_COLUMNS, longest)];
    with_scratch(lengths, |[left, right]| {
        for (index, block) in inner_blocks(inner).enumerate() {
            let left = &mut left[..panels_len(rows, TILE_ROWS, block.len())];
            let right = &mut right[..panels_len(columns, TILE_COLUMNS, block.len())];
            pack_left(left, a, 0..rows, block.clone());
            pack_right(right, b, 0..columns, block.clone());
            let panels = Panels { left, right, inner: block.len(), rows, columns };
            let output = if index == 0 { output } else { Output::Add };
            // SAFETY: the caller's promise; after the first block the output is initialised.
            unsafe { multiply(out, panels, scale, output) }
        }
    });
}
