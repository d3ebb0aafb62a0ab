//! Forms of operands that tiles read: copies, rounded or not, or left operands in place.

use std::ops::Range;

use super::View;
use super::bf16::{self, pairs};
#[cfg(target_arch = "x86_64")]
use super::microkernel::amx;
use super::microkernel::pair_products;
use super::microkernel::tile::{Product, multiply};
use super::operand::{Left, Operand, Right, TILE_COLUMNS, TILE_INNER, TILE_ROWS, panels_len};
use super::pack::{pack_left, pack_right};
use super::product::{left_operand, packs_left, right_operand};
use crate::cpu::simd::Instructions;
use crate::precision::Precision;

/// Inner indices of a block: their panels fit into the L1 cache together.
const INNER: usize = 384;

/// Copy format of operands and the instruction that adds their products. `Rounded` and `Pairs` give the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// f32, copied only if that is faster.
    Plain,
    /// f32 rounded to bf16.
    Rounded,
    /// Two bf16 inner indices in the space of one f32.
    Pairs,
    /// Pairs in the layout of tile registers; sums have their own order.
    #[cfg(target_arch = "x86_64")]
    Amx,
}

impl Form {
    /// Fastest form of `precision` on this machine.
    pub fn of(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Form::Plain,
            #[cfg(target_arch = "x86_64")]
            Precision::Bf16 if Instructions::best().has_tiles() => Form::Amx,
            Precision::Bf16 if pair_products::are_fast() => Form::Pairs,
            Precision::Bf16 => Form::Rounded,
        }
    }

    /// Elements of a copy per line, for `inner` inner indices.
    pub fn depth(self, inner: usize) -> usize {
        match self {
            Form::Plain | Form::Rounded => inner,
            Form::Pairs => pairs(inner),
            #[cfg(target_arch = "x86_64")]
            Form::Amx => amx::depth(inner),
        }
    }

    /// Rows (left) or columns (right) of a panel.
    pub fn panel(self, operand: Operand) -> usize {
        match (self, operand) {
            (_, Operand::Right) => TILE_COLUMNS,
            (Form::Plain | Form::Rounded | Form::Pairs, Operand::Left) => TILE_ROWS,
            #[cfg(target_arch = "x86_64")]
            (Form::Amx, Operand::Left) => amx::BLOCK,
        }
    }

    /// True if sums are so fast that copying takes as long, so both operands are copied once for all tasks.
    pub fn shares_copies(self) -> bool {
        match self {
            Form::Plain | Form::Rounded | Form::Pairs => false,
            #[cfg(target_arch = "x86_64")]
            Form::Amx => true,
        }
    }

    /// Blocks of the inner indices; they depend on the number of inner indices alone.
    pub fn inner_blocks(self, inner: usize) -> impl ExactSizeIterator<Item = Range<usize>> + Clone {
        let unit = if self == Form::Plain { 1 } else { TILE_INNER };
        let units = inner.div_ceil(unit);
        let blocks = units.div_ceil(INNER / unit).max(1);
        let start = move |block: usize| (units * block / blocks * unit).min(inner);
        (0..blocks).map(move |block| start(block)..start(block + 1))
    }

    /// Elements of the copy of `part` rows of a left operand, for a product with `columns` columns; 0 if it is read in
    /// place.
    pub fn left_len(self, view: View<'_>, part: usize, columns: usize, inner: usize) -> usize {
        let copied = self != Form::Plain || packs_left(view, columns);
        if copied { panels_len(part, self.panel(Operand::Left), self.depth(inner)) } else { 0 }
    }

    /// Elements of the copy of `columns` columns of a right operand.
    pub fn right_len(self, columns: usize, inner: usize) -> usize {
        panels_len(columns, TILE_COLUMNS, self.depth(inner))
    }

    /// Copies a left operand, or some of its panels.
    pub fn copy_left(self, out: &mut [f32], view: View<'_>) {
        match self {
            Form::Plain => pack_left(out, view),
            Form::Rounded if view.has_contiguous_rows() => bf16::round_rows(out, view),
            Form::Rounded => {
                pack_left(out, view);
                bf16::round(out);
            }
            Form::Pairs if view.has_contiguous_rows() => bf16::pair_rows(out, view),
            Form::Pairs => bf16::pair_left_panels(out, view.transposed()),
            #[cfg(target_arch = "x86_64")]
            Form::Amx => amx::copy_left(out, view),
        }
    }

    /// Copies a right operand, or some of its panels.
    pub fn copy_right(self, out: &mut [f32], view: View<'_>) {
        match self {
            Form::Plain => pack_right(out, view),
            Form::Rounded => {
                pack_right(out, view);
                bf16::round(out);
            }
            Form::Pairs if view.has_contiguous_rows() => bf16::pair_right_panels(out, view),
            Form::Pairs => {
                let (columns, depth) = (view.columns(), self.depth(view.rows()));
                let mut rows = vec![0.0; columns * depth];
                bf16::pair_rows(&mut rows, view.transposed());
                pack_right(out, View::new(&rows, columns, depth).transposed());
            }
            #[cfg(target_arch = "x86_64")]
            Form::Amx => amx::copy_right(out, view),
        }
    }

    /// Left operand from the copy that [`Form::copy_left`] made of `view`. Contiguous rows that were rounded stay rows.
    pub fn left<'a>(self, copy: &'a [f32], view: View<'_>) -> Left<'a> {
        let (rows, depth) = (view.rows(), self.depth(view.columns()));
        match self {
            Form::Rounded | Form::Pairs if view.has_contiguous_rows() => {
                Left::of(View::new(&copy[..rows * depth], rows, depth))
            }
            Form::Plain | Form::Rounded | Form::Pairs => Left::packed(copy, rows, depth),
            #[cfg(target_arch = "x86_64")]
            // Tiles of 16 rows, one after the other; only the first row of such a group is a valid position.
            Form::Amx => Left::of(View::new(copy, rows, depth)),
        }
    }

    /// Left operand for a product with `columns` columns, copied into `scratch` if necessary.
    pub fn left_operand<'a>(self, view: View<'a>, columns: usize, scratch: &'a mut [f32]) -> Left<'a> {
        if self == Form::Plain {
            return left_operand(view, columns, scratch);
        }
        let copy = &mut scratch[..self.left_len(view, view.rows(), columns, view.columns())];
        self.copy_left(copy, view);
        self.left(copy, view)
    }

    /// Right operand, copied into `scratch` if that is necessary or faster.
    pub fn right_operand<'a>(self, view: View<'a>, scratch: &'a mut [f32]) -> Right<'a> {
        if self == Form::Plain {
            return right_operand(view, scratch);
        }
        self.right_copy(view, scratch)
    }

    /// Right operand, always copied into `scratch`.
    pub fn right_copy<'a>(self, view: View<'_>, scratch: &'a mut [f32]) -> Right<'a> {
        let copy = &mut scratch[..self.right_len(view.columns(), view.rows())];
        self.copy_right(copy, view);
        self.right(copy, view.columns(), view.rows())
    }

    /// Right operand of `columns` columns from a copy that [`Form::copy_right`] made.
    pub fn right(self, copy: &[f32], columns: usize, inner: usize) -> Right<'_> {
        Right::packed(copy, columns, self.depth(inner))
    }

    /// Computes a product of operands in this form.
    ///
    /// # Safety
    /// Same contract as [`multiply`].
    #[expect(unsafe_code, reason = "writes a part of a matrix")]
    pub unsafe fn multiply(self, product: Product<'_>) {
        // SAFETY: the caller's promise.
        unsafe {
            match self {
                Form::Plain | Form::Rounded => multiply(Instructions::best(), product),
                Form::Pairs => pair_products::multiply(product),
                #[cfg(target_arch = "x86_64")]
                Form::Amx => amx::multiply(product),
            }
        }
    }
}
