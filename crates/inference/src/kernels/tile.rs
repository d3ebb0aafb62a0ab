//! The innermost loops: some rows of activations times one panel of weights.
//!
//! Each output element is one chain of fused multiply-adds over the inputs, in order. So the number of rows, the tile's
//! shape, the instruction set and the thread change no bit.

#![expect(unsafe_code, reason = "reads panels and writes a part of a matrix")]

use std::hint::black_box;
use std::marker::PhantomData;

use super::matrix::PANEL;
#[cfg(target_arch = "x86_64")]
use crate::cpu::{Avx2, Avx512};
use crate::cpu::{Base, Instructions, Kernel, Vector};

/// Start of the sums.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Zero,
    /// The output's current values.
    Output,
}

/// Product of rows with one panel of 32 columns.
#[derive(Clone, Copy)]
pub struct Strip {
    pub out: *mut f32,
    /// Elements from a row to the next.
    pub out_stride: usize,
    pub left: *const f32,
    pub left_stride: usize,
    pub rows: usize,
    pub panel: *const u8,
    pub inner: usize,
    pub start: Start,
    /// Panel that is needed next, to be fetched while the last of several tiles of rows is multiplied.
    pub ahead: Option<*const u8>,
}

/// Bytes that are fetched before they are needed: more than hardware does, which stops at the end of a page.
pub(super) const DISTANCE: usize = 4096;

/// Inputs of a block: the panel's part stays in the L2 cache while all rows pass.
const INNER: usize = 1024;

impl Strip {
    /// Multiplies with a panel of f32.
    ///
    /// # Safety
    /// `rows` rows of 32 elements of `out` are valid for writes (and reads, with [`Start::Output`]), `rows` rows of
    /// `inner` elements of `left` and `inner` x 32 elements of `panel` for reads, and nothing else uses the output.
    pub unsafe fn multiply(self, instructions: Instructions) {
        match instructions {
            #[cfg(target_arch = "x86_64")]
            Instructions::Vnni | Instructions::Avx512 => instructions.run(Tiles::<Avx512, Single>::of(self)),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => instructions.run(Tiles::<Avx2, Single>::of(self)),
            Instructions::Base => instructions.run(Tiles::<Base, Single>::of(self)),
        }
    }

    /// Multiplies with a panel of bf16.
    ///
    /// # Safety
    /// Same contract as [`Strip::multiply`].
    pub unsafe fn multiply_bf16(self, instructions: Instructions) {
        match instructions {
            #[cfg(target_arch = "x86_64")]
            Instructions::Vnni | Instructions::Avx512 => instructions.run(Tiles::<Avx512, Half>::of(self)),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => instructions.run(Tiles::<Avx2, Half>::of(self)),
            Instructions::Base => instructions.run(Tiles::<Base, Half>::of(self)),
        }
    }
}

/// Form of the weights in a panel.
trait Weights<V: Vector> {
    /// Bytes of one weight.
    const BYTES: usize;

    /// Loads two vectors.
    ///
    /// # Safety
    /// Same contract as [`Vector::load`], for two vectors of this form.
    unsafe fn load(from: *const u8) -> [V; 2];
}

struct Single;

impl<V: Vector> Weights<V> for Single {
    const BYTES: usize = 4;

    #[inline(always)]
    unsafe fn load(from: *const u8) -> [V; 2] {
        // SAFETY: the caller's promise.
        unsafe { [V::load(from.cast()), V::load(from.cast::<f32>().add(V::LANES))] }
    }
}

struct Half;

impl<V: Vector> Weights<V> for Half {
    const BYTES: usize = 2;

    #[inline(always)]
    unsafe fn load(from: *const u8) -> [V; 2] {
        // SAFETY: the caller's promise.
        unsafe { V::load_bf16(from.cast()) }
    }
}

struct Tiles<V, W>(Strip, PhantomData<(V, W)>);

impl<V, W> Tiles<V, W> {
    fn of(strip: Strip) -> Self {
        Tiles(strip, PhantomData)
    }
}

/// Calls a function with its number of rows as a compile-time constant.
macro_rules! with_rows {
    ($height:expr, $most:expr, $rows:ident => $call:expr, $($literal:literal)+) => {
        match $height {
            $($literal if $literal <= $most => { const $rows: usize = $literal; $call })+
            _ => unreachable!("a tile has at least one row and at most as many as fit"),
        }
    };
}
pub(super) use with_rows;

/// Divides rows into tiles of nearly equal height, at most `most` each: `(first row, height)`.
#[inline(always)]
pub(super) fn heights(rows: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let tiles = rows.div_ceil(most);
    (0..tiles).map(move |tile| {
        let (first, end) = (rows * tile / tiles, rows * (tile + 1) / tiles);
        (first, end - first)
    })
}

impl<V: Vector, W: Weights<V>> Kernel for Tiles<V, W> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let strip = self.0;
        let blocks = strip.inner.div_ceil(INNER).max(1);
        for block in 0..blocks {
            let (first, end) = (strip.inner * block / blocks, strip.inner * (block + 1) / blocks);
            for (row, height) in heights(strip.rows, V::ROWS) {
                let next = strip.ahead.filter(|_| row > 0 && row + height == strip.rows);
                for column in (0..PANEL).step_by(2 * V::LANES) {
                    let offset = (first * PANEL + column) * W::BYTES;
                    let right = strip.panel.wrapping_add(offset);
                    let tile = Tile {
                        out: strip.out.wrapping_add(row * strip.out_stride + column),
                        out_stride: strip.out_stride,
                        left: strip.left.wrapping_add(row * strip.left_stride + first),
                        left_stride: strip.left_stride,
                        right,
                        ahead: match next {
                            Some(ahead) => ahead.wrapping_add(offset),
                            // The first rows read the panel from memory, later ones from the cache.
                            None => right.wrapping_add(if row == 0 { DISTANCE } else { 0 }),
                        },
                        inner: end - first,
                        start: if block == 0 { strip.start } else { Start::Output },
                    };
                    // SAFETY: `Strip::multiply` constructs this value for instructions that the machine has; its caller
                    // vouches for the operands, and the tile lies inside of them.
                    unsafe {
                        with_rows!(height, V::ROWS, R => tile.compute::<V, W, R>(), 12 11 10 9 8 7 6 5 4 3 2 1);
                    }
                }
            }
        }
    }
}

/// A few rows times two vectors of columns.
struct Tile {
    out: *mut f32,
    out_stride: usize,
    left: *const f32,
    left_stride: usize,
    right: *const u8,
    ahead: *const u8,
    inner: usize,
    start: Start,
}

impl Tile {
    /// # Safety
    /// This is compiled for the instructions of `V`; `R` rows of the output and of the left operand are valid.
    #[inline(always)]
    unsafe fn compute<V: Vector, W: Weights<V>, const R: usize>(self) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut sums = [[V::splat(0.0); 2]; R];
            if self.start == Start::Output {
                for (row, sums) in sums.iter_mut().enumerate() {
                    let from = self.out.add(row * self.out_stride);
                    *sums = [V::load(from), V::load(from.add(V::LANES))];
                }
            }
            let step = PANEL * W::BYTES;
            // Every fourth row. Hidden from the compiler: it would derive each row's address from the previous one, which
            // takes longer than the sums. No array, which it would keep in memory.
            let mut first = black_box(self.left);
            let mut second = black_box(self.left.wrapping_add(4 * self.left_stride));
            let mut third = black_box(self.left.wrapping_add(8 * self.left_stride));
            let (mut right, ahead) = (self.right, self.ahead.addr().wrapping_sub(self.right.addr()));
            for _ in 0..self.inner {
                let columns = W::load(right);
                prefetch(right.wrapping_add(ahead));
                if 2 * V::LANES * W::BYTES > 64 {
                    prefetch(right.wrapping_add(ahead + 64));
                }
                for (row, sums) in sums.iter_mut().enumerate() {
                    let quad = match row / 4 {
                        0 => first,
                        1 => second,
                        _ => third,
                    };
                    let value = V::splat(*quad.add(row % 4 * self.left_stride));
                    for (sum, column) in sums.iter_mut().zip(columns) {
                        *sum = value.mul_add(column, *sum);
                    }
                }
                (first, second, third) = (first.wrapping_add(1), second.wrapping_add(1), third.wrapping_add(1));
                right = right.wrapping_add(step);
            }
            for (row, sums) in sums.into_iter().enumerate() {
                let to = self.out.add(row * self.out_stride);
                sums[0].store(to);
                sums[1].store(to.add(V::LANES));
            }
        }
    }
}

/// Fetches a cache line into the L2 cache. Any address is allowed.
#[inline(always)]
pub(super) fn prefetch(from: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is a hint; it does not access memory architecturally, so any address is allowed.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(from.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = from;
}
