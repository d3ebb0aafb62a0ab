//! Products on all threads in either precision.

use super::View;
use super::form::Form;
use super::parallel::{parallel_product, parallel_product_add, parallel_product_onto};
use crate::precision::Precision;

/// `a b`, row-major.
///
/// # Panics
/// If the inner dimensions differ.
pub fn matmul(a: View<'_>, b: View<'_>, precision: Precision) -> Vec<f32> {
    parallel_product(a, b, Form::of(precision))
}

/// `residual + a b`, row-major.
///
/// # Panics
/// If the shapes do not match.
pub fn matmul_onto(residual: &[f32], a: View<'_>, b: View<'_>, precision: Precision) -> Vec<f32> {
    parallel_product_onto(residual, a, b, Form::of(precision))
}

/// `out += a b`; `out` is row-major without gaps.
///
/// # Panics
/// If the shapes do not match.
pub fn matmul_add(out: &mut [f32], a: View<'_>, b: View<'_>, precision: Precision) {
    parallel_product_add(out, a, b, Form::of(precision));
}
