//! Attention of one new token over the cache.
//!
//! Sums the scores of neighbouring tokens, and neighbouring elements of a mean, side by side in the lanes of a
//! vector. Several such vectors are summed at a time, because each waits for its last sum. An element is one chain of
//! fused multiply-adds in order, as in the products of training.

use super::cache::{KeysAndValues, Lanes, lanes_of};
use crate::cpu::simd::{LANES, exp, fold_lanes, kernel, sum_lanes};
use crate::ops::HeadLayout;
use crate::ops::gemm::aligned;

/// Scratch memory that [`attend`] reuses.
#[derive(Default)]
pub struct Workspace {
    /// `[heads, tokens]`, padded to whole lanes.
    scores: Vec<f32>,
    /// `[heads, head_dim]`, padded to whole lanes.
    means: Vec<f32>,
    /// `1 / sum` of each head's weights.
    inverses: Vec<f32>,
}

/// Computes for each head the mean of the first `seen` values, weighted by the softmax of the
/// scaled products of their keys with the rotated query. `out` and `queries` are `[heads, head_dim]`.
pub fn attend(
    out: &mut [f32],
    queries: &[f32],
    memory: &KeysAndValues,
    seen: usize,
    layout: HeadLayout,
    workspace: &mut Workspace,
) {
    let HeadLayout { heads, head_dim, .. } = layout;
    let (panels, parts) = (seen.div_ceil(LANES), lanes_of(head_dim));
    let scores = aligned(&mut workspace.scores, heads * panels * LANES);
    let means = aligned(&mut workspace.means, heads * parts * LANES);
    workspace.inverses.resize(heads, 0.0);
    attend_heads(scores, means, &mut workspace.inverses, queries, memory, seen, layout);
    let means = means.chunks_exact(parts * LANES).zip(&workspace.inverses);
    for (out, (mean, inverse)) in out.chunks_exact_mut(head_dim).zip(means) {
        for (out, mean) in out.iter_mut().zip(mean) {
            *out = mean * inverse;
        }
    }
}

kernel! {
    fn attend_heads<'a>(
        scores: &'a mut [f32],
        means: &'a mut [f32],
        inverses: &'a mut [f32],
        queries: &'a [f32],
        memory: &'a KeysAndValues,
        seen: usize,
        layout: HeadLayout,
    ) -> () {
        let HeadLayout { head_dim, .. } = layout;
        let (panels, parts) = (seen.div_ceil(LANES), lanes_of(head_dim));
        let blocks = scores.as_chunks_mut().0;
        weighted_sums(blocks, head_dim, |block| {
            let (head, panel) = (block / panels, block % panels);
            (&queries[head * head_dim..], memory.keys(head / layout.group(), panel, head_dim))
        });
        let scale = 1.0 / (head_dim as f32).sqrt();
        for (scores, inverse) in blocks.chunks_exact_mut(panels).zip(inverses) {
            *inverse = 1.0 / exponentials(scores, seen, scale);
        }
        let weights = &*scores;
        weighted_sums(means.as_chunks_mut().0, seen, |block| {
            let (head, part) = (block / parts, block % parts);
            (&weights[head * panels * LANES..], memory.values(head / layout.group(), part, head_dim))
        });
    }
}

/// Sets element `lane` of a block to the sum of `factors[i] * terms[i][lane]` over `i < len`.
#[inline(always)]
fn weighted_sums<'a>(blocks: &mut [[f32; LANES]], len: usize, inputs: impl Fn(usize) -> (&'a [f32], &'a [Lanes])) {
    let (eights, rest) = blocks.as_chunks_mut();
    let (fours, ones) = rest.as_chunks_mut();
    let mut first = 0;
    for out in eights {
        *out = block_sums::<8>(std::array::from_fn(|block| inputs(first + block)), len);
        first += 8;
    }
    for out in fours {
        *out = block_sums::<4>(std::array::from_fn(|block| inputs(first + block)), len);
        first += 4;
    }
    for out in ones {
        [*out] = block_sums::<1>([inputs(first)], len);
        first += 1;
    }
}

#[inline(always)]
fn block_sums<const N: usize>(inputs: [(&[f32], &[Lanes]); N], len: usize) -> [[f32; LANES]; N] {
    let inputs = inputs.map(|(factors, terms)| (&factors[..len], &terms[..len]));
    let mut sums = [[0.0f32; LANES]; N];
    for i in 0..len {
        for (sums, (factors, terms)) in sums.iter_mut().zip(&inputs) {
            let (factor, terms) = (factors[i], &terms[i].0);
            for lane in 0..LANES {
                sums[lane] = factor.mul_add(terms[lane], sums[lane]);
            }
        }
    }
    sums
}

/// Turns the first `seen` scores into weights and returns their sum. As in training, means are divided by the sum,
/// not weights.
#[inline(always)]
fn exponentials(scores: &mut [[f32; LANES]], seen: usize, scale: f32) -> f32 {
    let last = scores.len() - 1;
    for score in &mut scores[last][seen - last * LANES..] {
        *score = f32::NEG_INFINITY;
    }
    let mut maxima = [f32::NEG_INFINITY; LANES];
    for block in scores.iter_mut() {
        for lane in 0..LANES {
            block[lane] *= scale;
            maxima[lane] = if block[lane] > maxima[lane] { block[lane] } else { maxima[lane] };
        }
    }
    let maximum = fold_lanes(maxima, |a, b| if b > a { b } else { a });
    let mut sums = [0.0; LANES];
    for (index, block) in scores.iter_mut().enumerate() {
        for lane in 0..LANES {
            let weight = exp(block[lane] - maximum);
            // This exponential of minus infinity is small, but not zero.
            block[lane] = if index * LANES + lane < seen { weight } else { 0.0 };
            sums[lane] += block[lane];
        }
    }
    sum_lanes(sums)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwell_base::rng::Rng;

    /// Heads that fill lanes and heads that do not, shared and not; one token, whole lanes, and more than eight of
    /// them.
    #[test]
    fn a_mean_is_that_of_the_formula() {
        let mut rng = Rng::new(3);
        for (heads, kv_heads, head_dim) in [(1, 1, 2), (6, 3, 20), (4, 4, 32), (3, 1, 16)] {
            let layout = HeadLayout { heads, kv_heads, head_dim };
            let mut values = |count: usize| -> Vec<f32> { (0..count).map(|_| rng.normal() as f32).collect() };
            let (mut memory, mut rows, width) = (KeysAndValues::default(), Vec::new(), layout.key_width());
            for seen in 1..150 {
                let (key, value) = (values(width), values(width));
                memory.reserve(seen, layout);
                memory.put(seen - 1, &key, &value, head_dim);
                rows.push((key, value));
                if ![1, 15, 16, 17, 64, 149].contains(&seen) {
                    continue;
                }
                let queries = values(layout.query_width());
                let mut found = vec![0.0; layout.query_width()];
                attend(&mut found, &queries, &memory, seen, layout, &mut Workspace::default());
                for (head, (found, query)) in found.chunks(head_dim).zip(queries.chunks(head_dim)).enumerate() {
                    let first = head / layout.group() * head_dim;
                    let expected = mean(query, &rows, first);
                    for (x, y) in found.iter().zip(expected) {
                        assert!((f64::from(*x) - y).abs() < 1e-5, "{layout:?}, {seen} tokens: {x} is not {y}");
                    }
                }
            }
        }
    }

    /// Expected mean of the elements from `first` on, in f64.
    fn mean(query: &[f32], rows: &[(Vec<f32>, Vec<f32>)], first: usize) -> Vec<f64> {
        let product = |key: &Vec<f32>| -> f64 {
            query.iter().zip(&key[first..]).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        let weights: Vec<f64> =
            rows.iter().map(|(key, _)| (product(key) / (query.len() as f64).sqrt()).exp()).collect();
        let total: f64 = weights.iter().sum();
        let element = |index: usize| -> f64 {
            rows.iter().zip(&weights).map(|((_, value), weight)| weight / total * f64::from(value[first + index])).sum()
        };
        (0..query.len()).map(element).collect()
    }
}
