//! Products on all threads in either precision.

use super::{Output, View, parallel_product, parallel_product_into, parallel_product_onto};
use crate::train::ops::simd::kernel;
use crate::train::precision::Precision;

/// `a b`, row-major.
///
/// # Panics
/// When the inner dimensions differ.
pub fn matmul(a: View<'_>, b: View<'_>, precision: Precision) -> Vec<f32> {
    match precision {
        Precision::F32 => parallel_product(a, b),
        Precision::Bf16 => parallel_product(a.of(&rounded(a)), b.of(&rounded(b))),
    }
}

/// `residual + a b`, row-major.
///
/// # Panics
/// When the shapes do not fit.
pub fn matmul_onto(residual: &[f32], a: View<'_>, b: View<'_>, precision: Precision) -> Vec<f32> {
    match precision {
        Precision::F32 => parallel_product_onto(residual, a, b),
        Precision::Bf16 => parallel_product_onto(residual, a.of(&rounded(a)), b.of(&rounded(b))),
    }
}

/// `out = a b` or `out += a b`; `out` is row-major without gaps.
///
/// # Panics
/// When the shapes do not fit.
pub fn matmul_into(out: &mut [f32], a: View<'_>, b: View<'_>, output: Output, precision: Precision) {
    match precision {
        Precision::F32 => parallel_product_into(out, a, b, output),
        Precision::Bf16 => parallel_product_into(out, a.of(&rounded(a)), b.of(&rounded(b)), output),
    }
}

/// The elements of a view, and what lies between them, as bf16.
fn rounded(view: View<'_>) -> Vec<f32> {
    let mut values = view.data().to_vec();
    round(&mut values);
    values
}

kernel! {
    /// To the nearest number of 8 bits, to the even one of two.
    fn round<'a>(values: &'a mut [f32]) -> () {
        for value in values.iter_mut() {
            let bits = value.to_bits();
            let up = bits.wrapping_add(0x7FFF + (bits >> 16 & 1)) & 0xFFFF_0000;
            *value = if value.is_nan() { *value } else { f32::from_bits(up) };
        }
    }
}
