//! The innermost loops: a tile of the output stays in vector registers while it is summed.
//!
//! Each element is one chain of fused multiply-adds over the inner index, in order. So the tile's shape, the
//! instruction set and the thread that computes it change no bit.

#![expect(unsafe_code, reason = "writes a part of a matrix")]

#[cfg(target_arch = "x86_64")]
use super::vector::{Avx2, Avx512};
use super::vector::{Base, Vector};
use crate::cpu::isa::Set;
use crate::cpu::simd::{Instructions, Kernel, prefetch};
use crate::ops::cpu::gemm::operand::{LINE, Left, Right, TILE_COLUMNS};
use crate::ops::cpu::gemm::target::{Source, Target};

/// `target = scale * left right`, plus the elements of `onto` if given.
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
/// If the operands have different numbers of inner indices.
///
/// # Safety
/// The elements of the product in `target` must be valid for writes and those of `onto` for reads, and nothing else may
/// use them during the call.
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

pub struct Tiles<'a, V>(Product<'a>, std::marker::PhantomData<V>);

impl<'a, V: Vector> Tiles<'a, V> {
    pub fn of(product: Product<'a>) -> Self {
        Tiles(product, std::marker::PhantomData)
    }
}

impl<V: Vector> Kernel for Tiles<'_, V> {
    type Output = ();

    /// Columns of the right operand stay in the L1 cache while the rows of the left one pass.
    #[inline(always)]
    fn run(self) {
        let product = self.0;
        let (rows, columns) = (product.left.rows(), product.right.columns());
        for column in (0..columns).step_by(2 * V::LANES) {
            for row in (0..rows).step_by(V::ROWS) {
                let tile = Tile { product: &product, row, column, width: (columns - column).min(2 * V::LANES) };
                // SAFETY: `multiply` constructs this value for instructions that the machine has, and its caller
                // vouches for the target; rows and columns are those of the operands.
                unsafe { tile.compute::<V>((rows - row).min(V::ROWS)) }
            }
        }
    }
}

/// One tile, starting at a row and a column of the product.
struct Tile<'a> {
    product: &'a Product<'a>,
    row: usize,
    column: usize,
    /// Columns inside the output.
    width: usize,
}

/// Calls a function with its number of rows as a compile-time constant.
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
    /// Same contract as [`Tile::compute`]; there are `R` rows.
    #[inline(always)]
    unsafe fn rows<V: Vector, const R: usize>(&self) {
        let Product { left, right, .. } = *self.product;
        let (from, step, next) = left.at(self.row);
        for i in 0..R {
            prefetch(self.product.target.at(self.row + i, self.column), 2 * V::LANES);
        }
        // A packed operand is already in the cache, and later columns find the rows that the first ones have read.
        let lines = if next != 1 && self.column == 0 { left.inner() / LINE_LEN } else { 0 };
        let ahead = Prefetch { from: from.wrapping_add(R * next), next, lines };
        let streams = Streams::<R> {
            quads: std::array::from_fn(|quad| from.wrapping_add(4 * quad * next)),
            next,
            left_step: step,
            right: right.at(self.column),
            right_step: right.step(),
        };
        // SAFETY: the caller's promise; packed or in place, a whole tile of columns is readable.
        unsafe {
            // Gives the compiler the constant distance of packed rows.
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
    /// Same contract as [`Tile::rows`]; all columns are inside the product.
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
    /// Same contract as [`Tile::rows`].
    #[inline(always)]
    unsafe fn finish_edge<V: Vector, const R: usize>(&self, sums: [[V; 2]; R]) {
        let Product { target, onto, scale, .. } = *self.product;
        let mut row_sums = [0.0f32; TILE_COLUMNS];
        for (i, [first, second]) in sums.into_iter().enumerate() {
            // SAFETY: two vectors are at most one tile wide; only elements of the output are written.
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

/// Rows of a left operand in place that the next tile needs, for prefetching. Each row is its own stream, too short for
/// the hardware prefetcher; without this, the first columns wait for memory.
#[derive(Clone, Copy)]
struct Prefetch {
    from: *const f32,
    next: usize,
    lines: usize,
}

/// Elements of a cache line; also the number of inner indices per prefetched line of each row.
const LINE_LEN: usize = LINE / size_of::<f32>();

/// Read positions in both operands, at one inner index.
struct Streams<const R: usize> {
    /// Every fourth row; rows are `next` apart.
    quads: [*const f32; 3],
    next: usize,
    left_step: usize,
    right: *const f32,
    right_step: usize,
}

/// Sums over the inner index for `R` rows on the left and two vectors of columns.
///
/// # Safety
/// This must be compiled for the instructions of `V`, and the operands must have `inner` inner indices from here on.
#[inline(always)]
unsafe fn sums<V: Vector, const R: usize>(mut streams: Streams<R>, inner: usize, mut ahead: Prefetch) -> [[V; 2]; R] {
    // SAFETY: the caller's promise; any address may be prefetched.
    unsafe {
        let mut sums = [[V::splat(0.0); 2]; R];
        if streams.next != 1 {
            // Otherwise the compiler derives each row's address from the previous one, which takes longer than the
            // sums.
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
    /// Adds the products of one inner index and advances to the next.
    ///
    /// # Safety
    /// This must be compiled for the instructions of `V`, and the operands must have this inner index.
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
