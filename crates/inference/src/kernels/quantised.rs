//! Activations rounded to bytes, for products with q8_0.

use super::bytes::ByteRows;
use super::dtype::BLOCK;
use super::rows::Activations;
use super::workers::Workers;
use crate::cpu::{LANES, kernel, sum_lanes};

/// Rows of blocks of 32 bytes with one scale each.
#[derive(Default)]
pub struct Quantised {
    bytes: Vec<i8>,
    scales: Vec<f32>,
    /// -128 times the sum of a block's bytes.
    offsets: Vec<i32>,
    rows: usize,
    blocks: usize,
}

impl Quantised {
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Blocks of a row.
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// The rows from `row` on.
    pub fn rows_from(&self, row: usize) -> ByteRows {
        let first = row * self.blocks;
        ByteRows {
            bytes: self.bytes[first * BLOCK..].as_ptr(),
            scales: self.scales[first..].as_ptr(),
            offsets: self.offsets[first..].as_ptr(),
            stride: self.blocks,
        }
    }

    /// Rounds all rows of `values`. A row's bytes depend on that row alone.
    pub fn round(&mut self, workers: &Workers, values: &Activations) {
        let blocks = values.width().div_ceil(BLOCK);
        (self.rows, self.blocks) = (values.rows(), blocks);
        let count = self.rows * blocks;
        if self.scales.len() < count {
            self.bytes.resize(count * BLOCK, 0);
            self.scales.resize(count, 0.0);
            self.offsets.resize(count, 0);
        }
        let places = self.bytes.chunks_exact_mut(blocks * BLOCK).zip(self.scales.chunks_exact_mut(blocks));
        let places = places.zip(self.offsets.chunks_exact_mut(blocks)).zip(values.iter());
        super::by_rows(workers, self.rows, places, |(((bytes, scales), offsets), values)| {
            round_row(workers.instructions(), bytes, scales, offsets, values);
        });
    }
}

kernel! {
    fn round_row<'a>(bytes: &'a mut [i8], scales: &'a mut [f32], offsets: &'a mut [i32], values: &'a [f32]) -> () {
        let (whole, rest) = values.as_chunks::<BLOCK>();
        let mut last = [0.0; BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        let blocks = whole.iter().chain((!rest.is_empty()).then_some(&last));
        let places = bytes.as_chunks_mut::<BLOCK>().0.iter_mut().zip(scales).zip(offsets);
        for (((bytes, scale), offset), values) in places.zip(blocks) {
            (*scale, *offset) = round_block(bytes, values);
        }
    }
}

/// Rounds to the nearest multiple of a 127th of the largest value, ties to even. Returns the scale and the offset.
#[inline(always)]
fn round_block(bytes: &mut [i8; BLOCK], values: &[f32; BLOCK]) -> (f32, i32) {
    /// Adding this rounds to an integer, held in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    let mut largest = [0.0f32; LANES];
    // Zero, or NaN if a value is not finite: then the block's scale is NaN, and so are the sums that use it.
    let mut poison = [0.0f32; LANES];
    for half in values.as_chunks::<LANES>().0 {
        for lane in 0..LANES {
            let value = half[lane].abs();
            largest[lane] = if value > largest[lane] { value } else { largest[lane] };
            poison[lane] += half[lane] * 0.0;
        }
    }
    let largest = largest.into_iter().fold(0.0f32, |largest, value| if value > largest { value } else { largest });
    // Below, the inverse would overflow.
    let inverse = if largest > 1e-30 { 127.0 / largest } else { 0.0 };
    let mut sum = 0i32;
    for index in 0..BLOCK {
        let rounded = values[index].mul_add(inverse, ROUND).to_bits().wrapping_sub(ROUND.to_bits());
        bytes[index] = rounded.cast_signed() as i8;
        sum += i32::from(bytes[index]);
    }
    (largest / 127.0 + sum_lanes(poison), -128 * sum)
}
