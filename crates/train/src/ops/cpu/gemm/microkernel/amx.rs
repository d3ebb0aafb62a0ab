//! Products of operands rounded to bf16, in the tile registers of AMX.
//!
//! One instruction adds 32 inner indices to 16 x 16 sums: the products of the even indices and those of the odd ones
//! form two chains of fused multiply-adds that start from 0, in order; their sum is added to the register (Intel's
//! Software Developer's Manual, TDPBF16PS). Without a scale, the registers start with the matrix that the product is
//! added to. The instruction treats numbers below 2^-126 as 0, in its inputs and results.

#![expect(unsafe_code, reason = "registers that the compiler does not know")]

use std::arch::asm;
use std::arch::x86_64::*;
use std::mem::MaybeUninit;

use super::tile::Product;
use crate::cpu::simd::{Instructions, Kernel, prefetch};
use crate::ops::cpu::gemm::operand::{TILE_COLUMNS, TILE_INNER};
use crate::ops::cpu::gemm::target::Source;
use crate::ops::cpu::gemm::{Target, View};

/// Rows of a tile register, and 4-byte elements in each row.
const SIDE: usize = 16;
/// Rows and columns covered by four registers of sums. Four others hold two tiles of rows and two of columns.
pub const BLOCK: usize = 2 * SIDE;

/// Number of pairs for `inner` inner indices, in whole tiles padded with 0.
pub fn depth(inner: usize) -> usize {
    inner.div_ceil(TILE_INNER) * SIDE
}

/// Copies the rows of a left operand, 16 at a time, as tiles of 16 pairs per row. `out` has space for whole blocks of
/// rows.
pub fn copy_left(out: &mut [f32], view: View<'_>) {
    let depth = depth(view.columns());
    assert_eq!(out.len(), view.rows().next_multiple_of(BLOCK) * depth, "whole blocks of rows");
    Instructions::best().run_with_pairs(Copy { out, lines: view, by_line: true, depth });
}

/// Copies the columns of a right operand as panels whose rows are pairs.
pub fn copy_right(out: &mut [f32], view: View<'_>) {
    let depth = depth(view.rows());
    assert_eq!(out.len(), view.columns().next_multiple_of(TILE_COLUMNS) * depth, "complete panels");
    Instructions::best().run_with_pairs(Copy { out, lines: view.transposed(), by_line: false, depth });
}

/// Copy of an operand. A line is a row of the left operand or a column of the right one.
struct Copy<'a> {
    out: &'a mut [f32],
    /// Lines by inner indices.
    lines: View<'a>,
    /// True if the pairs of a line are neighbours in the copy; false if the pairs of the same inner indices are.
    by_line: bool,
    depth: usize,
}

impl Kernel for Copy<'_> {
    type Output = ();

    /// One tile at a time, along the contiguous direction.
    #[inline(always)]
    fn run(self) {
        let (lines, tiles) = (self.lines.rows().next_multiple_of(BLOCK), self.depth / SIDE);
        let contiguous = self.lines.has_contiguous_rows();
        let (outer, inner) = if contiguous { (lines / SIDE, tiles) } else { (tiles, lines / SIDE) };
        let out = self.out.as_mut_ptr();
        for outer in 0..outer {
            for inner in 0..inner {
                let (line, tile) = if contiguous { (outer, inner) } else { (inner, outer) };
                let (line, inner) = (line * SIDE, tile * TILE_INNER);
                let part = self.lines.part(
                    line.min(self.lines.rows())..(line + SIDE).min(self.lines.rows()),
                    inner..(inner + TILE_INNER).min(self.lines.columns()),
                );
                let (place, step) = match self.by_line {
                    true => (line * self.depth + tile * SIDE * SIDE, SIDE),
                    false => (
                        line / TILE_COLUMNS * TILE_COLUMNS * self.depth
                            + tile * SIDE * TILE_COLUMNS
                            + line % TILE_COLUMNS,
                        TILE_COLUMNS,
                    ),
                };
                // SAFETY: this is compiled for AVX512-BF16. `out` is `lines` by `depth`, as the callers have checked,
                // and the tile lies inside it.
                unsafe {
                    let rows = if contiguous { pairs_of_rows(part) } else { pairs_of_columns(part) };
                    let rows = if contiguous == self.by_line { rows } else { transposed(rows) };
                    for (row, pairs) in rows.into_iter().enumerate() {
                        _mm512_storeu_si512(out.add(place + row * step).cast(), pairs);
                    }
                }
            }
        }
    }
}

/// Mask of the first `len` lanes.
#[inline(always)]
fn lanes(len: usize) -> __mmask16 {
    ((1u32 << len.min(SIDE)) - 1) as __mmask16
}

/// Loads up to 16 rows of up to 32 contiguous elements; one register per row.
///
/// # Safety
/// This must be compiled for AVX512-BF16.
#[inline(always)]
unsafe fn pairs_of_rows(part: View<'_>) -> [__m512i; SIDE] {
    let (from, step) = (part.data().as_ptr(), part.strides().0);
    let (low, high) = (lanes(part.columns()), lanes(part.columns().saturating_sub(SIDE)));
    // SAFETY: the caller's promise; lanes that are no elements of the part are not read.
    std::array::from_fn(|row| unsafe {
        if row >= part.rows() {
            return _mm512_setzero_si512();
        }
        let from = from.wrapping_add(row * step);
        prefetch(from.wrapping_add(SIDE * step), TILE_INNER);
        let low = _mm512_maskz_loadu_ps(low, from);
        let high = _mm512_maskz_loadu_ps(high, from.wrapping_add(SIDE));
        std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low))
    })
}

/// Loads up to 32 columns of up to 16 contiguous elements; one register per two columns.
///
/// # Safety
/// This must be compiled for AVX512-BF16.
#[inline(always)]
unsafe fn pairs_of_columns(part: View<'_>) -> [__m512i; SIDE] {
    let (from, step) = (part.data().as_ptr(), part.strides().1);
    // SAFETY: the caller's promise; lanes that are no elements of the part are not read.
    unsafe {
        // Words 0 to 15 are even columns, words 16 to 31 odd ones.
        let places: [u16; TILE_INNER] = std::array::from_fn(|place| (place / 2 + place % 2 * SIDE) as u16);
        let places = _mm512_loadu_si512(places.as_ptr().cast());
        std::array::from_fn(|pair| {
            let column = |column: usize| {
                let there = if column < part.columns() { lanes(part.rows()) } else { 0 };
                prefetch(from.wrapping_add((column + TILE_INNER) * step), SIDE);
                _mm512_maskz_loadu_ps(there, from.wrapping_add(column * step))
            };
            let both = _mm512_cvtne2ps_pbh(column(2 * pair + 1), column(2 * pair));
            _mm512_permutexvar_epi16(places, std::mem::transmute::<__m512bh, __m512i>(both))
        })
    }
}

/// Transposes 16 x 16 elements of 4 bytes.
///
/// # Safety
/// This must be compiled for AVX-512.
#[inline(always)]
unsafe fn transposed(rows: [__m512i; SIDE]) -> [__m512i; SIDE] {
    // SAFETY: the caller's promise.
    unsafe {
        // Transposes within each 128 bits, first elements of 4 bytes, then of 8.
        let mut quads = rows;
        for four in 0..4 {
            let [a, b, c, d] = std::array::from_fn(|row| rows[4 * four + row]);
            let (ab, cd) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
            quads[4 * four] = _mm512_unpacklo_epi64(ab, cd);
            quads[4 * four + 1] = _mm512_unpackhi_epi64(ab, cd);
            let (ab, cd) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
            quads[4 * four + 2] = _mm512_unpacklo_epi64(ab, cd);
            quads[4 * four + 3] = _mm512_unpackhi_epi64(ab, cd);
        }
        // The quarters of register `4 i + j` are elements `4 i` to `4 i + 3` of columns j, j + 4, j + 8 and j + 12.
        let mut out = quads;
        for column in 0..4 {
            let [a, b, c, d] = std::array::from_fn(|four| quads[4 * four + column]);
            let (low, high) = (_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0xDD>(a, b));
            let (low_cd, high_cd) = (_mm512_shuffle_i32x4::<0x88>(c, d), _mm512_shuffle_i32x4::<0xDD>(c, d));
            out[column] = _mm512_shuffle_i32x4::<0x88>(low, low_cd);
            out[column + 8] = _mm512_shuffle_i32x4::<0xDD>(low, low_cd);
            out[column + 4] = _mm512_shuffle_i32x4::<0x88>(high, high_cd);
            out[column + 12] = _mm512_shuffle_i32x4::<0xDD>(high, high_cd);
        }
        out
    }
}

/// Computes a product of copies made by this module.
///
/// # Panics
/// If the operands have different numbers of pairs, or without tile registers.
///
/// # Safety
/// Same contract as [`super::tile::multiply`]; the operands must be copies made by this module.
pub unsafe fn multiply(product: Product<'_>) {
    assert_eq!(product.left.inner(), product.right.inner(), "pairs");
    assert!(Instructions::best().has_tiles(), "products in tile registers");
    Instructions::best().run(Multiply(product));
}

/// Constructed only by [`multiply`], which checks its conditions.
struct Multiply<'a>(Product<'a>);

impl Kernel for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Product { target, onto, left, right, scale } = self.0;
        let other = onto.filter(|onto| !std::ptr::eq(onto.at(0, 0), target.at(0, 0)));
        // SAFETY: the promise to `multiply`; a block that is scaled or partial goes through `BlockSums`, never past the edge
        // of the output.
        unsafe {
            configure();
            for row in (0..left.rows()).step_by(BLOCK) {
                for column in (0..right.columns()).step_by(BLOCK) {
                    let operands =
                        Operands { left: left.at(row).0, right: right.at(column), tiles: left.inner() / SIDE };
                    let (next_row, next_column) = match column + BLOCK < right.columns() {
                        true => (row, column + BLOCK),
                        false => (row + BLOCK, 0),
                    };
                    // The rows below belong to another task.
                    let ahead = if next_row < left.rows() { BLOCK } else { 0 };
                    for i in 0..ahead {
                        prefetch(target.at(next_row + i, next_column), BLOCK);
                        if let Some(other) = other {
                            prefetch(other.at(next_row + i, next_column), BLOCK);
                        }
                    }
                    let (height, width) = ((left.rows() - row).min(BLOCK), (right.columns() - column).min(BLOCK));
                    let (target, onto) = (target.offset(row, column), onto.map(|onto| onto.offset(row, column)));
                    let whole = height == BLOCK && width == BLOCK;
                    match (scale == 1.0, onto) {
                        (true, onto) if whole => operands.add(onto, target),
                        (true, Some(onto)) => {
                            let mut block = BlockSums::zeros();
                            for (i, sums) in block.0[..height].iter_mut().enumerate() {
                                std::ptr::copy_nonoverlapping(onto.at(i, 0), sums.as_mut_ptr(), width);
                            }
                            let place = block.place();
                            operands.add(Some(place.source()), place);
                            block.write(target, height, width, |_, _, sum| sum);
                        }
                        (true, None) => operands.sums().write(target, height, width, |_, _, sum| sum),
                        (false, None) => operands.sums().write(target, height, width, |_, _, sum| sum * scale),
                        (false, Some(onto)) => {
                            operands
                                .sums()
                                .write(target, height, width, |i, j, sum| sum.mul_add(scale, *onto.at(i, j)));
                        }
                    }
                }
            }
            asm!("tilerelease", out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _, out("tmm4") _, out("tmm5") _,
            out("tmm6") _, out("tmm7") _, options(nostack, nomem, preserves_flags));
        }
    }
}

#[repr(align(64))]
struct BlockSums([[f32; BLOCK]; BLOCK]);

impl BlockSums {
    fn zeros() -> Self {
        BlockSums([[0.0; BLOCK]; BLOCK])
    }

    fn place(&mut self) -> Target {
        Target::new(self.0.as_flattened_mut(), BLOCK)
    }

    /// Writes `value(row, column, sum)` for each sum inside the output.
    ///
    /// # Safety
    /// `height` rows of `width` elements of `target` must be valid for writes; this must be compiled for AVX-512.
    #[inline(always)]
    unsafe fn write(&self, target: Target, height: usize, width: usize, value: impl Fn(usize, usize, f32) -> f32) {
        for (i, sums) in self.0[..height].iter().enumerate() {
            let to = target.at(i, 0);
            // SAFETY: the caller's promise.
            unsafe {
                if width == BLOCK {
                    let values: [f32; BLOCK] = std::array::from_fn(|j| value(i, j, sums[j]));
                    to.cast::<[f32; BLOCK]>().write_unaligned(values);
                } else {
                    for (j, sum) in sums[..width].iter().enumerate() {
                        to.add(j).write(value(i, j, *sum));
                    }
                }
            }
        }
    }
}

/// Configures all tile registers as 16 rows of 64 bytes.
///
/// # Safety
/// The process must be allowed to use AMX.
unsafe fn configure() {
    /// Palette 1: bytes from 16 on hold the row length of each register in bytes, bytes from 48 on its number of rows.
    const CONFIGURATION: [u8; 64] = {
        let mut bytes = [0; 64];
        bytes[0] = 1;
        let mut register = 0;
        while register < 8 {
            bytes[16 + 2 * register] = 64;
            bytes[48 + register] = SIDE as u8;
            register += 1;
        }
        bytes
    };
    // SAFETY: the caller's promise.
    unsafe {
        asm!("ldtilecfg [{}]", in(reg) &CONFIGURATION, out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _, options(nostack, readonly, preserves_flags));
    }
}

/// Operand tiles of one block of sums.
struct Operands {
    left: *const f32,
    right: *const f32,
    tiles: usize,
}

impl Operands {
    /// Computes the sums of products, starting from 0.
    ///
    /// # Safety
    /// Same contract as [`Operands::add`].
    #[inline(always)]
    unsafe fn sums(&self) -> BlockSums {
        let mut sums = MaybeUninit::<BlockSums>::uninit();
        // SAFETY: the caller's promise; `add` writes the whole block.
        unsafe {
            self.add(None, Target::of(sums.as_mut_ptr().cast(), BLOCK));
            sums.assume_init()
        }
    }

    /// Adds the products to `from` (0 if `None`) and writes the sums to `to`.
    ///
    /// # Safety
    /// The tile registers must be configured. 32 rows of 32 elements of `from` must be valid for reads and those of
    /// `to` for writes, and the operands must have 32 rows and columns.
    #[inline(always)]
    unsafe fn add(&self, from: Option<Source>, to: Target) {
        let (from, from_bytes) = from.map_or((std::ptr::null(), 0), |from| (from.at(0, 0), from.row_bytes()));
        let (to, to_bytes) = (to.at(0, 0), to.source().row_bytes());
        // SAFETY: the caller's promise.
        unsafe {
            asm!(
                "test {from}, {from}",
                "jz 2f",
                "tileloadd tmm0, [{from} + {from_bytes}]",
                "tileloadd tmm1, [{from} + {from_bytes} + 64]",
                "tileloadd tmm2, [{from_low} + {from_bytes}]",
                "tileloadd tmm3, [{from_low} + {from_bytes} + 64]",
                "jmp 3f",
                "2:",
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "3:",
                "test {tiles}, {tiles}",
                "jz 5f",
                "4:",
                "tileloadd tmm4, [{left} + {left_bytes}]",
                "tileloadd tmm6, [{right} + {right_bytes}]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{right} + {right_bytes} + 64]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tileloadd tmm5, [{left_low} + {left_bytes}]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {left}, 1024",
                "add {left_low}, 1024",
                "add {right}, 2048",
                "dec {tiles}",
                "jnz 4b",
                "5:",
                "tilestored [{to} + {to_bytes}], tmm0",
                "tilestored [{to} + {to_bytes} + 64], tmm1",
                "tilestored [{to_low} + {to_bytes}], tmm2",
                "tilestored [{to_low} + {to_bytes} + 64], tmm3",
                from = in(reg) from,
                from_low = in(reg) from.wrapping_byte_add(SIDE * from_bytes),
                from_bytes = in(reg) from_bytes,
                to = in(reg) to,
                to_low = in(reg) to.wrapping_byte_add(SIDE * to_bytes),
                to_bytes = in(reg) to_bytes,
                left = inout(reg) self.left => _,
                left_low = inout(reg) self.left.wrapping_byte_add(self.tiles * 1024) => _,
                left_bytes = in(reg) 64usize,
                right = inout(reg) self.right => _,
                right_bytes = in(reg) TILE_COLUMNS * size_of::<f32>(),
                tiles = inout(reg) self.tiles => _,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _, out("tmm4") _, out("tmm5") _,
                out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}
