//! The innermost loops for q8_0: rows of bytes times one panel of bytes.
//!
//! Products of the 32 bytes of a block are summed exactly, as integers. Over the blocks, each output element is one chain
//! of fused multiply-adds in order. So neither rows nor tiles, instructions or threads change a bit.

#![expect(unsafe_code, reason = "reads panels and writes a part of a matrix")]

use std::hint::black_box;
use std::marker::PhantomData;

use super::dtype::BLOCK;
use super::matrix::{BLOCK_BYTES, PANEL, SCALES};
use super::tile::{DISTANCE, heights, prefetch, with_rows};
#[cfg(target_arch = "x86_64")]
use crate::cpu::{Avx2, Avx512, Bytes512, Words256, Words512};
use crate::cpu::{Base, Dot, Instructions, Kernel, Plain, Vector};

/// Rows of bytes with one scale per block, read from raw memory.
#[derive(Clone, Copy)]
pub struct ByteRows {
    pub bytes: *const i8,
    /// Per block.
    pub scales: *const f32,
    /// Per block: -128 times the sum of its bytes, because 128 stands for 0 in a panel.
    pub offsets: *const i32,
    /// Blocks from a row to the next.
    pub stride: usize,
}

/// Product of rows of bytes with one panel of 32 columns.
#[derive(Clone, Copy)]
pub struct ByteStrip {
    pub out: *mut f32,
    pub out_stride: usize,
    pub left: ByteRows,
    pub rows: usize,
    pub panel: *const u8,
    pub blocks: usize,
    /// Panel that is needed next.
    pub ahead: Option<*const u8>,
}

impl ByteStrip {
    /// # Safety
    /// `rows` rows of 32 elements of `out` are valid for writes, `rows` rows of `blocks` blocks of `left` and `blocks`
    /// blocks of `panel` for reads, and nothing else uses the output.
    pub unsafe fn multiply(self, instructions: Instructions) {
        match instructions {
            #[cfg(target_arch = "x86_64")]
            Instructions::Vnni => instructions.run(Tiles::<Avx512, Bytes512>(self, PhantomData)),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => instructions.run(Tiles::<Avx512, Words512>(self, PhantomData)),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => instructions.run(Tiles::<Avx2, Words256>(self, PhantomData)),
            Instructions::Base => instructions.run(Tiles::<Base, Plain>(self, PhantomData)),
        }
    }
}

struct Tiles<V, D>(ByteStrip, PhantomData<(V, D)>);

impl<V: Vector, D: Dot<V>> Kernel for Tiles<V, D> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let strip = self.0;
        for (row, height) in heights(strip.rows, V::BYTE_ROWS) {
            let next = strip.ahead.filter(|_| row > 0 && row + height == strip.rows);
            for column in (0..PANEL).step_by(2 * V::LANES) {
                let tile = Tile {
                    out: strip.out.wrapping_add(row * strip.out_stride + column),
                    out_stride: strip.out_stride,
                    left: ByteRows {
                        bytes: strip.left.bytes.wrapping_add(row * strip.left.stride * BLOCK),
                        scales: strip.left.scales.wrapping_add(row * strip.left.stride),
                        offsets: strip.left.offsets.wrapping_add(row * strip.left.stride),
                        stride: strip.left.stride,
                    },
                    panel: strip.panel,
                    ahead: match next.filter(|_| column == 0) {
                        Some(ahead) => ahead,
                        // The first rows read the panel from memory, later ones from the cache.
                        None => strip.panel.wrapping_add(if row == 0 { DISTANCE } else { 0 }),
                    },
                    column,
                    blocks: strip.blocks,
                };
                // SAFETY: `ByteStrip::multiply` constructs this value for instructions that the machine has; its caller
                // vouches for the operands, and the tile lies inside of them.
                unsafe {
                    with_rows!(height, V::BYTE_ROWS, R => tile.compute::<V, D, R>(), 6 5 4 3 2 1);
                }
            }
        }
    }
}

/// A few rows times two vectors of columns.
struct Tile {
    out: *mut f32,
    out_stride: usize,
    left: ByteRows,
    panel: *const u8,
    ahead: *const u8,
    column: usize,
    blocks: usize,
}

impl Tile {
    /// # Safety
    /// This is compiled for the instructions of `V` and `D`; `R` rows of the output and of the left operand are valid.
    #[inline(always)]
    unsafe fn compute<V: Vector, D: Dot<V>, const R: usize>(self) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut sums = [[V::splat(0.0); 2]; R];
            // Hidden from the compiler: it would load all bytes of a block first, more than the registers hold.
            let fours = black_box(BLOCK / 4);
            for block in 0..self.blocks {
                let place = self.panel.add(block * BLOCK_BYTES);
                let ahead = self.ahead.wrapping_add(block * BLOCK_BYTES);
                let mut ints: [[V::Ints; 2]; R] = std::array::from_fn(|row| {
                    [V::splat_int(*self.left.offsets.add(row * self.left.stride + block)); 2]
                });
                for four in 0..fours {
                    let weights = place.add(SCALES + (four * PANEL + self.column) * 4);
                    let weights = [V::load_bytes(weights), V::load_bytes(weights.add(4 * V::LANES))];
                    prefetch(ahead.wrapping_add(four * 4 * PANEL));
                    prefetch(ahead.wrapping_add(four * 4 * PANEL + 64));
                    for (row, ints) in ints.iter_mut().enumerate() {
                        let bytes = self.left.bytes.add((row * self.left.stride + block) * BLOCK + 4 * four);
                        let bytes = bytes.cast::<i32>().read_unaligned();
                        for (sum, weights) in ints.iter_mut().zip(weights) {
                            *sum = D::add(*sum, weights, bytes);
                        }
                    }
                }
                let scales = place.cast::<u16>().add(self.column);
                let scales = [V::load_f16(scales), V::load_f16(scales.add(V::LANES))];
                for (row, (sums, ints)) in sums.iter_mut().zip(ints).enumerate() {
                    let scale = V::splat(*self.left.scales.add(row * self.left.stride + block));
                    for half in 0..2 {
                        sums[half] = V::from_ints(ints[half]).mul_add(scales[half].mul(scale), sums[half]);
                    }
                }
            }
            for (row, sums) in sums.into_iter().enumerate() {
                let to = self.out.add(row * self.out_stride);
                sums[0].store(to);
                sums[1].store(to.add(V::LANES));
            }
        }
    }
}
