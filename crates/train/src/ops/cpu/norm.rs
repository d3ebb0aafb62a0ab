//! RMSNorm over rows, and over the query and key heads of fused projection rows.

use std::ops::Range;

use super::parts::in_parts;
use crate::cpu::simd::{dot, kernel};
use crate::ops::HeadLayout;

/// Elements per task; fixed, so that partial sums do not depend on the number of threads.
const TASK: usize = 1 << 14;

/// `x / sqrt(mean(x^2) + eps) * weight` for each row of `weight.len()` elements.
pub fn rms_norm(x: &[f32], weight: &[f32], eps: f32) -> Vec<f32> {
    let step = rows_per_task(weight.len()) * weight.len();
    in_parts(x.len(), step, |part, out| rms_norm_rows(out, &x[part], weight, eps)).0
}

/// Gradients of [`rms_norm`] for `x` (accumulated onto `onto` if given) and for `weight`, given the gradient of its
/// output.
pub fn rms_norm_backward(
    x: &[f32],
    weight: &[f32],
    upstream: &[f32],
    onto: Option<&[f32]>,
    eps: f32,
) -> (Vec<f32>, Vec<f32>) {
    let step = rows_per_task(weight.len()) * weight.len();
    let (dx, partial) = in_parts(x.len(), step, |part, dx| {
        let mut dweight = vec![0.0; weight.len()];
        backward_rows(dx, &mut dweight, &x[part.clone()], weight, &upstream[part.clone()], eps);
        if let Some(onto) = onto {
            add(dx, &onto[part]);
        }
        dweight
    });
    (dx, sum_in_order(weight.len(), &partial))
}

/// [`rms_norm`] of each query head with `weights[0]` and each key head with `weights[1]`; values are copied.
pub fn qk_norm(qkv: &[f32], weights: [&[f32]; 2], layout: HeadLayout, eps: f32) -> Vec<f32> {
    let width = layout.width();
    let rows = |part: Range<usize>, out: &mut [f32]| {
        for (out, row) in out.chunks_mut(width).zip(qkv[part].chunks(width)) {
            let parts = split(row, layout).into_iter().zip(split_mut(out, layout));
            for ((part, out), weight) in parts.zip([Some(weights[0]), Some(weights[1]), None]) {
                match weight {
                    Some(weight) => rms_norm_rows(out, part, weight, eps),
                    None => out.copy_from_slice(part),
                }
            }
        }
    };
    in_parts(qkv.len(), rows_per_task(width) * width, rows).0
}

/// Gradients of [`qk_norm`] for its input, the query weight and the key weight.
pub fn qk_norm_backward(
    qkv: &[f32],
    weights: [&[f32]; 2],
    layout: HeadLayout,
    upstream: &[f32],
    eps: f32,
) -> (Vec<f32>, [Vec<f32>; 2]) {
    let width = layout.width();
    let (dqkv, partial) = in_parts(qkv.len(), rows_per_task(width) * width, |part, dqkv| {
        let mut dweights = [vec![0.0; layout.head_dim], vec![0.0; layout.head_dim]];
        let rows = qkv[part.clone()].chunks(width).zip(upstream[part].chunks(width));
        for (drow, (row, upstream)) in dqkv.chunks_mut(width).zip(rows) {
            let [dquery, dkey, dvalue] = split_mut(drow, layout);
            let [query, key, _] = split(row, layout);
            let [uquery, ukey, uvalue] = split(upstream, layout);
            backward_rows(dquery, &mut dweights[0], query, weights[0], uquery, eps);
            backward_rows(dkey, &mut dweights[1], key, weights[1], ukey, eps);
            dvalue.copy_from_slice(uvalue);
        }
        dweights
    });
    let (queries, keys): (Vec<_>, Vec<_>) = partial.into_iter().map(|[query, key]| (query, key)).unzip();
    (dqkv, [sum_in_order(layout.head_dim, &queries), sum_in_order(layout.head_dim, &keys)])
}

fn rows_per_task(width: usize) -> usize {
    (TASK / width).max(1)
}

fn sum_in_order(len: usize, parts: &[Vec<f32>]) -> Vec<f32> {
    let mut total = vec![0.0; len];
    for part in parts {
        for (total, value) in total.iter_mut().zip(part) {
            *total += value;
        }
    }
    total
}

fn split(row: &[f32], layout: HeadLayout) -> [&[f32]; 3] {
    let (query, rest) = row.split_at(layout.query_width());
    let (key, value) = rest.split_at(layout.key_width());
    [query, key, value]
}

fn split_mut(row: &mut [f32], layout: HeadLayout) -> [&mut [f32]; 3] {
    let (query, rest) = row.split_at_mut(layout.query_width());
    let (key, value) = rest.split_at_mut(layout.key_width());
    [query, key, value]
}

/// `1 / sqrt(mean(x^2) + eps)`.
#[inline(always)]
fn inverse_norm(x: &[f32], eps: f32) -> f32 {
    1.0 / (dot(x, x) / x.len() as f32 + eps).sqrt()
}

kernel! {
    /// [`rms_norm`] of a few rows, on the calling thread.
    pub fn rms_norm_rows<'a>(out: &'a mut [f32], x: &'a [f32], weight: &'a [f32], eps: f32) -> () {
        let width = weight.len();
        for (out, x) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
            let inverse = inverse_norm(x, eps);
            for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
                *out = x * inverse * weight;
            }
        }
    }
}

kernel! {
    fn add<'a>(to: &'a mut [f32], values: &'a [f32]) -> () {
        for (to, value) in to.iter_mut().zip(values) {
            *to += value;
        }
    }
}

kernel! {
    /// [`rms_norm_rows`] in place.
    pub fn rms_norm_in_place<'a>(x: &'a mut [f32], weight: &'a [f32], eps: f32) -> () {
        for x in x.chunks_exact_mut(weight.len()) {
            let inverse = inverse_norm(x, eps);
            for (x, weight) in x.iter_mut().zip(weight) {
                *x = *x * inverse * weight;
            }
        }
    }
}

kernel! {
    /// With `r = 1 / sqrt(mean(x^2) + eps)`: `dx = r (g w) - x r^3 mean(x g w)`, and `dw` gains `g x r`.
    fn backward_rows<'a>(
        dx: &'a mut [f32],
        dweight: &'a mut [f32],
        x: &'a [f32],
        weight: &'a [f32],
        upstream: &'a [f32],
        eps: f32,
    ) -> () {
        let width = weight.len();
        let rows = dx.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(upstream.chunks_exact(width));
        for ((dx, x), upstream) in rows {
            let inverse = inverse_norm(x, eps);
            for ((dx, upstream), weight) in dx.iter_mut().zip(upstream).zip(weight) {
                *dx = upstream * weight;
            }
            let pull = dot(x, dx) / width as f32 * inverse * inverse * inverse;
            for (((dx, x), upstream), dweight) in dx.iter_mut().zip(x).zip(upstream).zip(dweight.iter_mut()) {
                *dx = dx.mul_add(inverse, -(x * pull));
                *dweight = (upstream * x).mul_add(inverse, *dweight);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwell_base::rng::Rng;

    #[test]
    fn the_norm_in_place_has_the_bits_of_the_other() {
        let mut rng = Rng::new(9);
        for width in [1, 10, 16, 77] {
            let mut values = |count: usize| -> Vec<f32> { (0..count).map(|_| rng.normal() as f32).collect() };
            let (mut x, weight) = (values(5 * width), values(width));
            let mut expected = vec![0.0; x.len()];
            rms_norm_rows(&mut expected, &x, &weight, 1e-5);
            rms_norm_in_place(&mut x, &weight, 1e-5);
            assert_eq!(x, expected);
        }
    }
}
