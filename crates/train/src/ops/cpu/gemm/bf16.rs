//! Operands rounded to bf16 (8 bits of precision, the exponent range of f32), as a tile reads them.
//!
//! The product of two bf16 numbers is exact in f32, so a sum is rounded once per inner index, in their order. This
//! holds for multiply-adds of f32 and for the instruction that takes two inner indices at a time: it adds the product
//! of the upper halves, rounds, then adds the product of the lower halves. Only numbers below 2^-126 differ: the
//! instruction reads and writes them as 0. Operands are rounded to 0 here; sums of multiply-adds keep such numbers.

use super::View;
use super::operand::{TILE_COLUMNS, TILE_ROWS};
use crate::cpu::simd::kernel;

/// Rounds to the nearest bf16, ties to even; the result is in the upper half of the bits.
#[inline(always)]
fn rounded(value: f32) -> u32 {
    const EXPONENT: u32 = 0x7F80_0000;
    let bits = value.to_bits();
    let nearest = bits.wrapping_add(0x7FFF + (bits >> 16 & 1));
    let nan = bits & 0x7FFF_FFFF > EXPONENT;
    let tiny = bits & EXPONENT == 0;
    // The quiet bit keeps a NaN a NaN after the lower half is cut off.
    let found = if nan { bits | 0x0040_0000 } else { nearest };
    let found = if tiny { bits & 0x8000_0000 } else { found };
    found & 0xFFFF_0000
}

/// Packs an even inner index and the next one into an f32 that is only ever copied.
#[inline(always)]
fn pair(even: f32, odd: f32) -> f32 {
    f32::from_bits(rounded(even) | rounded(odd) >> 16)
}

/// Number of pairs for `inner` inner indices; an odd last one is padded with 0.
pub fn pairs(inner: usize) -> usize {
    inner.div_ceil(2)
}

kernel! {
    pub fn round<'a>(values: &'a mut [f32]) -> () {
        for value in values.iter_mut() {
            *value = f32::from_bits(rounded(*value));
        }
    }
}

kernel! {
    /// Rounds rows of contiguous elements into a copy without gaps.
    pub fn round_rows<'a>(out: &'a mut [f32], view: View<'a>) -> () {
        let width = view.columns();
        for (row, out) in out.chunks_exact_mut(width.max(1)).take(view.rows()).enumerate() {
            for (out, value) in out.iter_mut().zip(view.row(row, 0, width)) {
                *out = f32::from_bits(rounded(*value));
            }
        }
    }
}

kernel! {
    /// Copies rows of contiguous elements as pairs, without gaps.
    pub fn pair_rows<'a>(out: &'a mut [f32], view: View<'a>) -> () {
        let width = view.columns();
        for (row, out) in out.chunks_exact_mut(pairs(width).max(1)).take(view.rows()).enumerate() {
            let (whole, rest) = view.row(row, 0, width).as_chunks::<2>();
            for (out, [even, odd]) in out.iter_mut().zip(whole) {
                *out = pair(*even, *odd);
            }
            if let [even] = rest {
                out[whole.len()] = pair(*even, 0.0);
            }
        }
    }
}

kernel! {
    /// Packs the rows of a left operand with contiguous columns into panels of pairs.
    pub fn pair_left_panels<'a>(out: &'a mut [f32], across: View<'a>) -> () {
        pair_panels::<TILE_ROWS>(out, across);
    }
}

kernel! {
    /// Packs the columns of a right operand with contiguous rows into panels of pairs.
    pub fn pair_right_panels<'a>(out: &'a mut [f32], across: View<'a>) -> () {
        pair_panels::<TILE_COLUMNS>(out, across);
    }
}

/// Turns two rows of the view (two inner indices) into one row of each panel.
#[inline(always)]
fn pair_panels<const P: usize>(out: &mut [f32], view: View<'_>) {
    let (inner, columns) = (view.rows(), view.columns());
    let height = pairs(inner);
    for index in 0..height {
        let even = view.row(2 * index, 0, columns).as_chunks::<P>();
        let odd =
            if 2 * index + 1 < inner { view.row(2 * index + 1, 0, columns).as_chunks() } else { (&[][..], &[][..]) };
        for (panel, even) in even.0.iter().enumerate() {
            let odd = odd.0.get(panel).unwrap_or(&[0.0; P]);
            let out = &mut out[(panel * height + index) * P..][..P];
            for ((out, even), odd) in out.iter_mut().zip(even).zip(odd) {
                *out = pair(*even, *odd);
            }
        }
        if !even.1.is_empty() {
            let out = &mut out[(even.0.len() * height + index) * P..][..P];
            out.fill(0.0);
            for (column, (out, even)) in out.iter_mut().zip(even.1).enumerate() {
                *out = pair(*even, odd.1.get(column).copied().unwrap_or(0.0));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_to_the_nearest_of_8_bits() {
        let of = |value: f32| f32::from_bits(rounded(value));
        let step = 1.0 / 128.0;
        for (value, expected) in [
            (1.0, 1.0),
            (1.0 + 0.49 * step, 1.0),
            (1.0 + 0.5 * step, 1.0),
            (1.0 + 0.51 * step, 1.0 + step),
            (1.0 + 1.5 * step, 1.0 + 2.0 * step),
            (-3.0 - 2.6 * step, -3.0 - 2.0 * step),
            (-0.0, -0.0),
            (f32::MAX, f32::INFINITY),
            (f32::NEG_INFINITY, f32::NEG_INFINITY),
            (f32::MIN_POSITIVE, f32::MIN_POSITIVE),
            (f32::MIN_POSITIVE * 0.999, 0.0),
            (-1e-40, -0.0),
        ] {
            assert_eq!(of(value).to_bits(), f32::to_bits(expected), "{value}");
        }
        for bits in [0x7F80_0001, 0xFFFF_FFFF, 0x7FC0_0000] {
            assert!(of(f32::from_bits(bits)).is_nan(), "{bits:x}");
        }
    }
}
