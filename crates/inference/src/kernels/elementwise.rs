//! Functions of one row.

use crate::cpu::{Instructions, LANES, exp, kernel, sum_lanes};

use super::workers::Workers;

/// Fewer rows are faster on one thread.
const SHARED_ROWS: usize = 16;

/// Calls `work` for the items of `rows` rows, on all threads if that pays.
pub fn by_rows<I>(workers: &Workers, rows: usize, items: I, work: impl Fn(I::Item) + Sync)
where
    I: IntoIterator<IntoIter: Send>,
{
    if rows < SHARED_ROWS { items.into_iter().for_each(work) } else { workers.team().each(items, work) }
}

kernel! {
    /// `x += y`.
    pub fn add_to<'a>(x: &'a mut [f32], y: &'a [f32]) -> () {
        for (x, y) in x.iter_mut().zip(y) {
            *x += y;
        }
    }
}

kernel! {
    /// `x += addition` if there is one; then `out` is the RMSNorm of `x` (Zhang and Sennrich 2019).
    pub fn add_and_norm<'a>(
        out: &'a mut [f32], x: &'a mut [f32], addition: Option<&'a [f32]>, weight: &'a [f32], eps: f32,
    ) -> () {
        if let Some(addition) = addition {
            for (x, y) in x.iter_mut().zip(addition) {
                *x += y;
            }
        }
        normed(out, x, weight, eps);
    }
}

kernel! {
    /// RMSNorm of each head in place.
    pub fn norm_heads<'a>(heads: &'a mut [f32], weight: &'a [f32], eps: f32) -> () {
        for head in heads.chunks_exact_mut(weight.len()) {
            let inverse = inverse_rms(head, eps);
            for (x, weight) in head.iter_mut().zip(weight) {
                *x = *x * inverse * weight;
            }
        }
    }
}

kernel! {
    /// Rotates each head by the angles of its position; element `i` pairs with element `i + head_dim / 2` (Su et al.
    /// 2021).
    pub fn rotate<'a>(heads: &'a mut [f32], cosines: &'a [f32], sines: &'a [f32]) -> () {
        let half = cosines.len();
        for head in heads.chunks_exact_mut(2 * half) {
            let (first, second) = head.split_at_mut(half);
            for (((a, b), cosine), sine) in first.iter_mut().zip(second).zip(cosines).zip(sines) {
                (*a, *b) = (*a * cosine - *b * sine, *b * cosine + *a * sine);
            }
        }
    }
}

kernel! {
    /// `silu(gate) * up` (Shazeer 2020).
    pub fn swiglu<'a>(out: &'a mut [f32], gates: &'a [f32], ups: &'a [f32]) -> () {
        for ((out, gate), up) in out.iter_mut().zip(gates).zip(ups) {
            *out = gate / (1.0 + exp(-gate)) * up;
        }
    }
}

#[inline(always)]
fn normed(out: &mut [f32], x: &[f32], weight: &[f32], eps: f32) {
    let inverse = inverse_rms(x, eps);
    for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
        *out = x * inverse * weight;
    }
}

/// `1 / sqrt(mean(x^2) + eps)`.
#[inline(always)]
fn inverse_rms(x: &[f32], eps: f32) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (blocks, rest) = x.as_chunks::<LANES>();
    for block in blocks {
        for lane in 0..LANES {
            sums[lane] = block[lane].mul_add(block[lane], sums[lane]);
        }
    }
    for (sum, x) in sums.iter_mut().zip(rest) {
        *sum = x.mul_add(*x, *sum);
    }
    1.0 / (sum_lanes(sums) / x.len() as f32 + eps).sqrt()
}

/// Maps a score to an integer in the order of [`f32::total_cmp`].
#[inline(always)]
fn order(score: f32) -> i32 {
    let bits = score.to_bits().cast_signed();
    bits ^ ((bits >> 31).cast_unsigned() >> 1).cast_signed()
}

/// Index of the largest score, the first one among equals. NaN is above all.
pub fn largest(instructions: Instructions, scores: &[f32]) -> usize {
    let largest = largest_order(instructions, scores);
    scores.iter().position(|score| order(*score) == largest).unwrap_or(0)
}

kernel! {
    fn largest_order<'a>(scores: &'a [f32]) -> i32 {
        let mut largest = [i32::MIN; 4 * LANES];
        let (blocks, rest) = scores.as_chunks::<{ 4 * LANES }>();
        for block in blocks {
            for lane in 0..4 * LANES {
                let order = order(block[lane]);
                largest[lane] = if order > largest[lane] { order } else { largest[lane] };
            }
        }
        let rest = rest.iter().map(|score| order(*score)).max().unwrap_or(i32::MIN);
        largest.into_iter().fold(rest, i32::max)
    }
}
