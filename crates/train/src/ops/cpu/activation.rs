//! Activations between the two feed-forward projections.

use std::ops::Range;

use super::parts::{in_parts, in_parts_with};
use crate::cpu::simd::{LANES, exp, kernel};
use crate::ops::gelu::normal_cdf;

/// Rows per task: they stay in the L1 cache.
const ROWS: usize = 8;
/// Elements per task, for activations without rows.
const ELEMENTS: usize = 1 << 14;

/// `silu(gate) * up` for rows of `[gate, up]`, each `hidden` wide.
pub fn swiglu(gate_up: &[f32], hidden: usize) -> Vec<f32> {
    let rows = |part: Range<usize>, out: &mut [f32]| swiglu_rows(out, &gate_up[2 * part.start..2 * part.end], hidden);
    in_parts(gate_up.len() / 2, ROWS * hidden, rows).0
}

/// Gradient of [`swiglu`] with respect to its input. Replaces `upstream` with the output of [`swiglu`], which shares
/// most of its work with the gradient.
pub fn swiglu_backward(gate_up: &[f32], upstream: &mut [f32], hidden: usize) -> Vec<f32> {
    let rows = |part: Range<usize>, out: &mut [f32], upstream: &mut [f32]| {
        swiglu_backward_rows(out, &gate_up[part], upstream, hidden);
    };
    in_parts_with(gate_up.len(), 2 * ROWS * hidden, upstream.chunks_mut(ROWS * hidden), rows).0
}

/// The exact GELU of each element.
pub fn gelu(x: &[f32]) -> Vec<f32> {
    in_parts(x.len(), ELEMENTS, |part, out| gelu_chunk(out, &x[part])).0
}

/// Gradient of [`gelu`] with respect to its input. Replaces `upstream` with the output of [`gelu`].
pub fn gelu_backward(x: &[f32], upstream: &mut [f32]) -> Vec<f32> {
    let elements =
        |part: Range<usize>, out: &mut [f32], upstream: &mut [f32]| gelu_backward_chunk(out, &x[part], upstream);
    in_parts_with(x.len(), ELEMENTS, upstream.chunks_mut(ELEMENTS), elements).0
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

kernel! {
    /// [`swiglu`] of a few rows, on the calling thread.
    pub fn swiglu_rows<'a>(out: &'a mut [f32], gate_up: &'a [f32], hidden: usize) -> () {
        for (out, row) in out.chunks_exact_mut(hidden).zip(gate_up.chunks_exact(2 * hidden)) {
            let (gate, up) = row.split_at(hidden);
            for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
                *out = gate * sigmoid(*gate) * up;
            }
        }
    }
}

kernel! {
    /// Reads each block before writing it: with five slices the compiler does not vectorise otherwise.
    fn swiglu_backward_rows<'a>(out: &'a mut [f32], gate_up: &'a [f32], upstream: &'a mut [f32], hidden: usize) -> () {
        let rows = out.chunks_exact_mut(2 * hidden).zip(gate_up.chunks_exact(2 * hidden));
        for ((out, row), upstream) in rows.zip(upstream.chunks_exact_mut(hidden)) {
            let ((gates, gate_rest), (ups, up_rest)) = (row[..hidden].as_chunks(), row[hidden..].as_chunks());
            let (upstreams, upstream_rest) = upstream.as_chunks_mut::<LANES>();
            let (dgate, dup) = out.split_at_mut(hidden);
            let ((dgates, dgate_rest), (dups, dup_rest)) = (dgate.as_chunks_mut(), dup.as_chunks_mut());
            for (block, upstream) in upstreams.iter_mut().enumerate() {
                (dgates[block], dups[block], *upstream) =
                    swiglu_gradients::<LANES>(&gates[block], &ups[block], upstream);
            }
            for (i, upstream) in upstream_rest.iter_mut().enumerate() {
                let gradients = swiglu_gradients(&[gate_rest[i]], &[up_rest[i]], &[*upstream]);
                ([dgate_rest[i]], [dup_rest[i]], [*upstream]) = gradients;
            }
        }
    }
}

/// Gradients of gates and ups, and the output of the activation.
#[inline(always)]
fn swiglu_gradients<const N: usize>(
    gate: &[f32; N],
    up: &[f32; N],
    upstream: &[f32; N],
) -> ([f32; N], [f32; N], [f32; N]) {
    let (mut dgate, mut dup, mut out) = ([0.0; N], [0.0; N], [0.0; N]);
    for i in 0..N {
        let sigmoid = sigmoid(gate[i]);
        let silu = gate[i] * sigmoid;
        dup[i] = upstream[i] * silu;
        dgate[i] = upstream[i] * up[i] * silu.mul_add(1.0 - sigmoid, sigmoid);
        out[i] = silu * up[i];
    }
    (dgate, dup, out)
}

kernel! {
    fn gelu_chunk<'a>(out: &'a mut [f32], x: &'a [f32]) -> () {
        for (out, x) in out.iter_mut().zip(x) {
            *out = x * normal_cdf(*x);
        }
    }
}

kernel! {
    fn gelu_backward_chunk<'a>(out: &'a mut [f32], x: &'a [f32], upstream: &'a mut [f32]) -> () {
        const DENSITY_AT_ZERO: f32 = 0.398_942_3;
        for ((out, x), upstream) in out.iter_mut().zip(x).zip(upstream) {
            let (density, cdf) = (DENSITY_AT_ZERO * exp(-0.5 * x * x), normal_cdf(*x));
            *out = *upstream * x.mul_add(density, cdf);
            *upstream = x * cdf;
        }
    }
}
