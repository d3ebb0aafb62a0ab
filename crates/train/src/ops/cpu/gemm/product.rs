//! Products on the calling thread.

#![expect(unsafe_code, reason = "writes a part of a matrix")]

use std::cell::Cell;

use super::form::Form;
use super::microkernel::tile::Product;
use super::operand::{Left, Right, TILE_COLUMNS, TILE_ROWS, panels_len};
use super::pack::{aligned, pack_left, pack_right};
use super::{Output, Target, View};

/// Row distance in elements (4 KiB) at which rows share a set of the L1 cache.
const PAGE: usize = 1024;

thread_local! {
    /// Scratch memory for packed operands, kept by each thread.
    static SCRATCH: [Cell<Vec<f32>>; 2] = const { [Cell::new(Vec::new()), Cell::new(Vec::new())] };
}

/// Runs `use_it` with scratch memory for a left and a right operand; its contents are arbitrary.
pub fn with_scratch<R>(lengths: [usize; 2], use_it: impl FnOnce([&mut [f32]; 2]) -> R) -> R {
    // Taken, not borrowed: a task that this thread runs inside a shared product needs the other operand's memory.
    let take = |operand: usize| if lengths[operand] > 0 { SCRATCH.with(|it| it[operand].take()) } else { Vec::new() };
    let mut scratch = [take(0), take(1)];
    let [left, right] = &mut scratch;
    let result = use_it([aligned(left, lengths[0]), aligned(right, lengths[1])]);
    for (operand, memory) in scratch.into_iter().enumerate().filter(|(operand, _)| lengths[*operand] > 0) {
        SCRATCH.with(|it| it[operand].set(memory));
    }
    result
}

/// True if a product with `columns` columns is faster with a copy of the left operand than in place: if the copy is
/// read more than twice and consecutive inner indices are not adjacent, or if it is read often and the rows of a panel
/// are so far apart that they share one set of the L1 cache.
pub fn packs_left(view: View<'_>, columns: usize) -> bool {
    let (next, step) = view.strides();
    if step == 1 { next.is_multiple_of(PAGE) && columns > PAGE / 4 } else { columns > 2 * TILE_COLUMNS }
}

/// Left operand for a product with `columns` columns, packed into `scratch` if that is faster.
pub fn left_operand<'a>(view: View<'a>, columns: usize, scratch: &'a mut [f32]) -> Left<'a> {
    if !packs_left(view, columns) {
        return Left::of(view);
    }
    let scratch = &mut scratch[..panels_len(view.rows(), TILE_ROWS, view.columns())];
    pack_left(scratch, view);
    Left::packed(scratch, view.rows(), view.columns())
}

/// Right operand, packed into `scratch` unless it can be read in place: contiguous rows of whole panels that start at a
/// cache line and do not share one set of the L1 cache.
pub fn right_operand<'a>(view: View<'a>, scratch: &'a mut [f32]) -> Right<'a> {
    let in_place = Right::of(view).filter(|right| right.is_aligned() && !right.step().is_multiple_of(PAGE));
    in_place.unwrap_or_else(|| {
        let scratch = &mut scratch[..panels_len(view.columns(), TILE_COLUMNS, view.rows())];
        pack_right(scratch, view);
        Right::packed(scratch, view.columns(), view.rows())
    })
}

/// `out = scale * a b` or `out += scale * a b` on the calling thread; `out` is row-major without gaps.
///
/// # Panics
/// If the shapes do not match.
pub fn product(form: Form, out: &mut [f32], a: View<'_>, b: View<'_>, scale: f32, output: Output) {
    assert_eq!(out.len(), a.rows() * b.columns(), "the output has one element per row and column");
    assert_eq!(a.columns(), b.rows(), "inner dimensions");
    let out = Target::new(out, b.columns());
    let blocks = form.inner_blocks(a.columns());
    let longest = blocks.clone().map(|block| block.len()).max().unwrap_or(0);
    let lengths = [form.left_len(a, a.rows(), b.columns(), longest), form.right_len(b.columns(), longest)];
    with_scratch(lengths, |[left_scratch, right_scratch]| {
        for (index, block) in blocks.enumerate() {
            let onto = if index == 0 && output == Output::Overwrite { None } else { Some(out.source()) };
            let left = form.left_operand(a.part(0..a.rows(), block.clone()), b.columns(), left_scratch);
            let right = form.right_operand(b.part(block, 0..b.columns()), right_scratch);
            // SAFETY: the output is borrowed exclusively and has exactly the elements of the product.
            unsafe { form.multiply(Product { target: out, onto, left, right, scale }) }
        }
    });
}

/// [`product`] with a right operand already packed in the same form, written into a part of a matrix whose other parts
/// other threads may write.
///
/// # Safety
/// The `a.rows` x `b.columns` elements of `out` must be valid for writes and, with [`Output::Add`], initialised; no
/// other thread or reference may use them during the call.
///
/// # Panics
/// If the inner dimensions differ.
pub unsafe fn packed_product_into(form: Form, out: Target, a: View<'_>, b: Right<'_>, scale: f32, output: Output) {
    assert_eq!(form.depth(a.columns()), b.inner(), "inner dimensions");
    let columns = b.columns();
    let blocks = form.inner_blocks(a.columns());
    let longest = blocks.clone().map(|block| block.len()).max().unwrap_or(0);
    with_scratch([form.left_len(a, a.rows(), columns, longest), 0], |[scratch, _]| {
        for (index, block) in blocks.enumerate() {
            let onto = if index == 0 && output == Output::Overwrite { None } else { Some(out.source()) };
            let right = b.part(form.depth(block.start)..form.depth(block.end), 0..columns);
            let left = form.left_operand(a.part(0..a.rows(), block), columns, scratch);
            // SAFETY: the caller's promise; the first block initialises the output.
            unsafe { form.multiply(Product { target: out, onto, left, right, scale }) }
        }
    });
}

/// [`packed_product_into`] for an output without gaps.
///
/// # Panics
/// If the shapes do not match.
pub fn packed_product(form: Form, out: &mut [f32], a: View<'_>, b: Right<'_>, scale: f32, output: Output) {
    assert_eq!(out.len(), a.rows() * b.columns(), "the output has one element per row and column");
    let target = Target::new(out, b.columns());
    // SAFETY: `out` is borrowed exclusively and has exactly the elements of the product.
    unsafe { packed_product_into(form, target, a, b, scale, output) }
}
