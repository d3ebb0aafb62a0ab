//! The innermost loops: a tile of the output lives in vector registers while it is summed.
//!
//! Each element is one chain of fused multiply-adds over the inner index, in order. So neither the
//! tile's shape nor the instruction set nor the thread that computes it changes a bit.

use super::target::{Output, Target};
use crate::train::ops::simd::{Kernel, dispatch, has_wide_vectors};

/// Rows of the output that one tile covers.
pub const TILE_ROWS: usize = 12;
/// Columns of the output that one tile covers: two of the widest vectors.
pub const TILE_COLUMNS: usize = 32;

/// Packed operands of one product, for equal inner indices.
#[derive(Clone, Copy)]
pub struct Panels<'a> {
    /// Panels of [`TILE_ROWS`] rows.
    pub left: &'a [f32],
    /// Panels of [`TILE_COLUMNS`] columns.
    pub right: &'a [f32],
    /// Inner indices.
    pub inner: usize,
    /// Rows of the product.
    pub rows: usize,
    /// Columns of the product.
    pub columns: usize,
}

/// `target = scale * left right` or `target += scale * left right`.
///
/// # Safety
/// The `rows` x `columns` elements of `target` are valid for writes, initialised when [`Output::Add`],
/// and no other thread or reference uses them during the call.
pub unsafe fn multiply(target: Target, panels: Panels<'_>, scale: f32, output: Output) {
    if !has_wide_vectors() {
        // SAFETY: the caller's promise.
        return unsafe { multiply_narrow(target, panels, scale, output) };
    }
    dispatch(Wide(Call { target, panels, scale, output }));
}

/// [`multiply`] for machines with fewer or shorter vector registers.
///
/// # Safety
/// As for [`multiply`].
pub unsafe fn multiply_narrow(target: Target, panels: Panels<'_>, scale: f32, output: Output) {
    dispatch(Narrow(Call { target, panels, scale, output }));
}

#[derive(Clone, Copy)]
struct Call<'a> {
    target: Target,
    panels: Panels<'a>,
    scale: f32,
    output: Output,
}

/// Whole tiles in registers: 24 accumulators of 16 lanes.
struct Wide<'a>(Call<'a>);

/// For 16 vector registers of 8 lanes: a tile in four parts with 12 accumulators each.
struct Narrow<'a>(Call<'a>);

type Left<'a> = &'a [[f32; TILE_ROWS]];
type Right<'a> = &'a [[f32; TILE_COLUMNS]];

/// The part of an output that one tile covers.
struct Place {
    target: Target,
    rows: usize,
    columns: usize,
}

impl Kernel for Wide<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.0.each_tile::<Self>();
    }
}

impl Kernel for Narrow<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.0.each_tile::<Self>();
    }
}

/// How one tile is computed. Not a closure, which would not be compiled for the caller's instructions.
trait Tile {
    fn compute(call: &Call<'_>, place: Place, left: Left<'_>, right: Right<'_>);
}

impl Tile for Wide<'_> {
    #[inline(always)]
    fn compute(call: &Call<'_>, place: Place, left: Left<'_>, right: Right<'_>) {
        match place.rows.div_ceil(4) {
            1 => call.finish(place, sums::<4, TILE_COLUMNS>(left, right, 0, 0)),
            2 => call.finish(place, sums::<8, TILE_COLUMNS>(left, right, 0, 0)),
            _ => call.finish(place, sums::<12, TILE_COLUMNS>(left, right, 0, 0)),
        }
    }
}

impl Tile for Narrow<'_> {
    #[inline(always)]
    fn compute(call: &Call<'_>, place: Place, left: Left<'_>, right: Right<'_>) {
        const ROWS: usize = 6;
        const COLUMNS: usize = 16;
        for row in (0..place.rows).step_by(ROWS) {
            for column in (0..place.columns).step_by(COLUMNS) {
                let part = Place {
                    target: place.target.offset(row, column),
                    rows: (place.rows - row).min(ROWS),
                    columns: (place.columns - column).min(COLUMNS),
                };
                call.finish(part, sums::<ROWS, COLUMNS>(left, right, row, column));
            }
        }
    }
}

impl Call<'_> {
    /// A panel of the right operand stays in the first cache while those of the left one pass.
    #[inline(always)]
    fn each_tile<T: Tile>(self) {
        let Panels { left, right, inner, rows, columns } = self.panels;
        for (right, column) in right.chunks_exact(inner * TILE_COLUMNS).zip((0..columns).step_by(TILE_COLUMNS)) {
            for (left, row) in left.chunks_exact(inner * TILE_ROWS).zip((0..rows).step_by(TILE_ROWS)) {
                let place = Place {
                    target: self.target.offset(row, column),
                    rows: (rows - row).min(TILE_ROWS),
                    columns: (columns - column).min(TILE_COLUMNS),
                };
                T::compute(&self, place, left.as_chunks().0, right.as_chunks().0);
            }
        }
    }

    /// Writes a tile, or as many rows and columns of it as the output has.
    #[inline(always)]
    fn finish<const R: usize, const C: usize>(&self, place: Place, sums: [[f32; C]; R]) {
        if place.columns == C && place.rows == R {
            for (row, sums) in sums.iter().enumerate() {
                // SAFETY: a tile inside the output, which the caller of `multiply` vouches for.
                unsafe { self.store(place.target, row, sums) };
            }
        } else {
            self.finish_edge(place, &sums);
        }
    }

    /// # Safety
    /// As for [`multiply`].
    #[inline(always)]
    unsafe fn store<const C: usize>(&self, place: Target, row: usize, sums: &[f32; C]) {
        let out = place.at(row, 0).cast::<[f32; C]>();
        let mut values = [0.0; C];
        if self.output == Output::Add {
            // SAFETY: initialised, as the output is added to.
            values = unsafe { out.read_unaligned() };
            for (value, sum) in values.iter_mut().zip(sums) {
                *value = sum.mul_add(self.scale, *value);
            }
        } else {
            for (value, sum) in values.iter_mut().zip(sums) {
                *value = sum * self.scale;
            }
        }
        // SAFETY: the caller's promise.
        unsafe { out.write_unaligned(values) };
    }

    #[inline(never)]
    fn finish_edge<const R: usize, const C: usize>(&self, place: Place, sums: &[[f32; C]; R]) {
        for (row, sums) in sums[..place.rows].iter().enumerate() {
            for (column, sum) in sums[..place.columns].iter().enumerate() {
                // SAFETY: an element of the output, which the caller of `multiply` vouches for.
                unsafe { self.store(place.target.offset(0, column), row, &[*sum]) };
            }
        }
    }
}

/// Sums over the inner index of `R` x `C` elements of a tile, from a row and a column of it on.
#[inline(always)]
fn sums<const R: usize, const C: usize>(left: Left<'_>, right: Right<'_>, row: usize, column: usize) -> [[f32; C]; R] {
    let mut sums = [[0.0f32; C]; R];
    for (left, right) in left.iter().zip(right) {
        for i in 0..R {
            for j in 0..C {
                sums[i][j] = left[row + i].mul_add(right[column + j], sums[i][j]);
            }
        }
    }
    sums
}
