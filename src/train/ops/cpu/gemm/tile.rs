//! The innermost loops: a tile of the output lives in vector registers while it is summed.
//!
//! Each element is one chain of fused multiply-adds over the inner index, in order. So neither the
//! tile's shape nor the instruction set nor the thread that computes it changes a bit.

use super::operand::{LINE, Left, Right, TILE_COLUMNS};
use super::target::{Source, Target};
#[cfg(target_arch = "x86_64")]
use super::vector::{Avx2, Avx512};
use super::vector::{Base, Vector};
use crate::train::ops::simd::{Instructions, Kernel, Set, prefetch};

/// `target = scale * left right`, with the elements of `onto` added if there are any.
#[derive(Clone, Copy)]
pub struct Product<'a> {
    pub target: Target,
    /// A matrix of the target's shape; may be the target itself.
    pub onto: Option<Source>,
    pub left: Left<'a>,
    pub right: Right<'a>,
    pub scale: f32,
}

/// Computes a product.
///
/// # Panics
/// When the operands have different numbers of inner indices.
///
/// # Safety
/// As many elements of `target` as the product has are valid for writes, those of `onto` for reads, and no
/// one else uses them during the call.
pub unsafe fn multiply(instructions: Instructions, product: Product<'_>) {
    assert_eq!(product.left.inner(), product.right.inner(), "inner indices");
    match instructions.set() {
        #[cfg(target_arch = "x86_64")]
        Set::Avx512 | Set::Avx512Bf16 | Set::Amx => instructions.run(Tiles::<Avx512>::of(product)),
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 => instructions.run(Tiles::<Avx2>::of(product)),
        Set::Base => instructions.run(Tiles::<Base>::of(product)),
    }
}

/// A product that is computed in vectors of one type.
pub struct Tiles<'a, V>(Product<'a>, std::marker::PhantomData<V>);

impl<'a, V: Vector> Tiles<'a, V> {
    pub fn of(product: Product<'a>) -> Self {
        Tiles(product, std::marker::PhantomData)
    }
}

impl<V: Vector> Kernel for Tiles<'_, V> {
    type Output = ();

    /// Columns of the right operand stay in the first cache while the rows of the left one pass.
    #[inline(always)]
    fn run(self) {
        let product = self.0;
        let (rows, columns) = (product.left.rows(), product.right.columns());
        for column in (0..columns).step_by(2 * V::LANES) {
            for row in (0..rows).step_by(V::ROWS) {
                let tile = Tile { product: &product, row, column, width: (columns - column).min(2 * V::LANES) };
                // SAFETY: `multiply` makes this value for instructions that are there, and its caller
                // vouches for the target; rows and columns are those of the operands.
                unsafe { tile.compute::<V>((rows - row).min(V::ROWS)) }
            }
        }
    }
}

/// One tile, from a row and a column of the product on.
struct Tile<'a> {
    product: &'a Product<'a>,
    row: usize,
    column: usize,
    /// Columns that the output has.
    width: usize,
}

/// Calls a function with its number of rows, which the compiler must know.
macro_rules! with_rows {
    ($tile:ident, $vector:ident, $height:ident, $($rows:literal)+) => {
        match $height {
            // SAFETY: the caller's promise.
            $($rows if $rows <= $vector::ROWS => unsafe { $tile.rows::<$vector, $rows>() },)+
            _ => unreachable!("a tile has at least one row and at most as many as fit"),
        }
    };
}

impl Tile<'_> {
    /// # Safety
    /// This is compiled for the instructions of `V`. The tile lies inside the product; see [`multiply`].
    #[inline(always)]
    unsafe fn compute<V: Vector>(&self, height: usize) {
        with_rows!(self, V, height, 12 11 10 9 8 7 6 5 4 3 2 1)
    }

    /// # Safety
    /// As for [`Tile::compute`]; there are `R` rows.
    #[inline(always)]
    unsafe fn rows<V: Vector, const R: usize>(&self) {
        let Product { left, right, .. } = *self.product;
        let (from, step, next) = left.at(self.row);
        for i in 0..R {
            prefetch(self.product.target.at(self.row + i, self.column), 2 * V::LANES);
        }
        // A packed operand is in the cache; later columns find in it what the first ones have read.
        let lines = if next != 1 && self.column == 0 { left.inner() / LINE_LEN } else { 0 };
        let ahead = Ahead { from: from.wrapping_add(R * next), next, lines };
        let streams = Streams::<R> {
            quads: std::array::from_fn(|quad| from.wrapping_add(4 * quad * next)),
            next,
            left_step: step,
            right: right.at(self.column),
            right_step: right.step(),
        };
        // SAFETY: the caller's promise; packed or not, a whole tile of columns is readable.
        unsafe {
            // The distance of packed rows is known to the compiler.
            let sums = if next == 1 {
                sums::<V, R>(Streams { next: 1, ..streams }, left.inner(), ahead)
            } else {
                sums::<V, R>(streams, left.inner(), ahead)
            };
            if self.width == 2 * V::LANES {
                self.finish(sums);
            } else {
                self.finish_edge(sums);
            }
        }
    }

    /// # Safety
    /// As for [`Tile::rows`]; all columns are inside the product.
    #[inline(always)]
    unsafe fn finish<V: Vector, const R: usize>(&self, sums: [[V; 2]; R]) {
        let Product { target, onto, scale, .. } = *self.product;
        // SAFETY: the caller's promise.
        unsafe {
            let scale = V::splat(scale);
            for (i, halves) in sums.into_iter().enumerate() {
                for (half, sum) in halves.into_iter().enumerate() {
                    let (row, column) = (self.row + i, self.column + half * V::LANES);
                    let value = match onto {
                        Some(onto) => sum.mul_add(scale, V::load(onto.at(row, column))),
                        None => sum.mul(scale),
                    };
                    value.store(target.at(row, column));
                }
            }
        }
    }

    /// # Safety
    /// As for [`Tile::rows`].
    #[inline(always)]
    unsafe fn finish_edge<V: Vector, const R: usize>(&self, sums: [[V; 2]; R]) {
        let Product { target, onto, scale, .. } = *self.product;
        let mut row_sums = [0.0f32; TILE_COLUMNS];
        for (i, [first, second]) in sums.into_iter().enumerate() {
            // SAFETY: two vectors are at most a tile wide; what is written are elements of the output.
            unsafe {
                first.store(row_sums.as_mut_ptr());
                second.store(row_sums.as_mut_ptr().add(V::LANES));
                for (j, sum) in row_sums[..self.width].iter().enumerate() {
                    let (row, column) = (self.row + i, self.column + j);
                    let value = match onto {
                        Some(onto) => sum.mul_add(scale, *onto.at(row, column)),
                        None => sum * scale,
                    };
                    target.at(row, column).write(value);
                }
            }
        }
    }
}

/// Rows of a left operand that are read where they lie, as far as the next tile needs them. Each is a stream of its own
/// and too short for the processor to see coming; the first columns to be computed wait for memory otherwise.
#[derive(Clone, Copy)]
struct Ahead {
    from: *const f32,
    /// From a row to the next.
    next: usize,
    /// Cache lines of each row.
    lines: usize,
}

/// Elements of a cache line, and inner indices during which one of each row is asked for.
const LINE_LEN: usize = LINE / size_of::<f32>();

/// The operands of some sums, at an inner index.
struct Streams<const R: usize> {
    /// The rows by fours, `next` apart.
    quads: [*const f32; 3],
    next: usize,
    left_step: usize,
    right: *const f32,
    right_step: usize,
}

/// Sums over the inner index of `R` rows on the left and two vectors of columns.
///
/// # Safety
/// This is compiled for the instructions of `V`, and the operands have `inner` inner indices from here on.
#[inline(always)]
unsafe fn sums<V: Vector, const R: usize>(mut streams: Streams<R>, inner: usize, mut ahead: Ahead) -> [[V; 2]; R] {
    // SAFETY: the caller's promise; what is asked for ahead may be any address.
    unsafe {
        let mut sums = [[V::splat(0.0); 2]; R];
        if streams.next != 1 {
            // Otherwise the compiler finds each row's address from the last one's, which takes longer than the sums.
            streams.quads = std::hint::black_box(streams.quads);
        }
        for _ in 0..ahead.lines {
            for _ in 0..LINE_LEN {
                streams.add_to::<V>(&mut sums);
                prefetch(ahead.from, 1);
                ahead.from = ahead.from.wrapping_add(ahead.next);
            }
            ahead.from = ahead.from.wrapping_add(LINE_LEN).wrapping_sub(LINE_LEN * ahead.next);
        }
        for _ in LINE_LEN * ahead.lines..inner {
            streams.add_to::<V>(&mut sums);
        }
        sums
    }
}

impl<const R: usize> Streams<R> {
    /// Adds the products of one inner index, and goes on to the next.
    ///
    /// # Safety
    /// This is compiled for the instructions of `V`, and the operands have this inner index.
    #[inline(always)]
    unsafe fn add_to<V: Vector>(&mut self, sums: &mut [[V; 2]; R]) {
        // SAFETY: the caller's promise.
        unsafe {
            let columns = [V::load(self.right), V::load(self.right.add(V::LANES))];
            for (i, sums) in sums.iter_mut().enumerate() {
                let row = V::splat(*self.quads[i / 4].add(i % 4 * self.next));
                for (sum, column) in sums.iter_mut().zip(columns) {
                    *sum = row.add_product(column, *sum);
                }
            }
        }
        self.quads = self.quads.map(|quad| quad.wrapping_add(self.left_step));
        self.right = self.right.wrapping_add(self.right_step);
    }
}
