//! Feed-forward activations, computed in f32 for every element type.

use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use cubecl::prelude::*;

/// `silu(gate) * up` for rows `[gate, up]` of `[rows, 2 * hidden]`; one unit per output.
#[cube(launch)]
pub fn swiglu_forward<F: Float>(
    x: &Tensor<F>,
    output: &mut Tensor<F>,
    count: usize,
    hidden: usize,
    #[define(F)] _dtype: ElemType,
) {
    let at = ABSOLUTE_POS;
    if at < count {
        let from = at / hidden * 2 * hidden + at % hidden;
        let (gate, up) = (f32::cast_from(x[from]), f32::cast_from(x[from + hidden]));
        output[at] = F::cast_from(gate * sigmoid(gate) * up);
    }
}

/// Gradient of both halves; one unit per output.
#[cube(launch)]
pub fn swiglu_backward<F: Float>(
    x: &Tensor<F>,
    upstream: &Tensor<F>,
    gradient: &mut Tensor<F>,
    count: usize,
    hidden: usize,
    #[define(F)] _dtype: ElemType,
) {
    let at = ABSOLUTE_POS;
    if at < count {
        let from = at / hidden * 2 * hidden + at % hidden;
        let (gate, up) = (f32::cast_from(x[from]), f32::cast_from(x[from + hidden]));
        let slope = f32::cast_from(upstream[at]);
        let open = sigmoid(gate);
        gradient[from] = F::cast_from(slope * up * open * (1.0 + gate * (1.0 - open)));
        gradient[from + hidden] = F::cast_from(slope * gate * open);
    }
}

/// The exact GELU (Hendrycks and Gimpel 2016); one unit per element.
#[cube(launch)]
pub fn gelu_forward<F: Float>(x: &Tensor<F>, output: &mut Tensor<F>, count: usize, #[define(F)] _dtype: ElemType) {
    let at = ABSOLUTE_POS;
    if at < count {
        let value = f32::cast_from(x[at]);
        output[at] = F::cast_from(value * normal_cdf(value));
    }
}

/// Gradient of the exact GELU; one unit per element.
#[cube(launch)]
pub fn gelu_backward<F: Float>(
    x: &Tensor<F>,
    upstream: &Tensor<F>,
    gradient: &mut Tensor<F>,
    count: usize,
    #[define(F)] _dtype: ElemType,
) {
    let at = ABSOLUTE_POS;
    if at < count {
        let value = f32::cast_from(x[at]);
        // 1 / sqrt(2 pi), the density of the normal distribution at 0.
        let exponent = value * value * f32::new(-0.5);
        let density = exponent.exp() * comptime!(0.5 * FRAC_2_SQRT_PI * FRAC_1_SQRT_2);
        gradient[at] = F::cast_from(f32::cast_from(upstream[at]) * (normal_cdf(value) + value * density));
    }
}

/// `1 / (1 + exp(-x))` without overflow.
#[cube]
fn sigmoid(x: f32) -> f32 {
    let small = (-x.abs()).exp();
    select(x >= 0.0, 1.0 / (1.0 + small), small / (1.0 + small))
}

#[cube]
fn normal_cdf(x: f32) -> f32 {
    let erf = Erf::erf(x * comptime!(FRAC_1_SQRT_2));
    0.5 * (1.0 + erf)
}
