//! Rotary positions (Su et al. 2021): pair `j` consists of elements `j` and `j + half` of a head.

use crate::cpu::simd::{LANES, kernel};

kernel! {
    /// Rotates each head by one position, given as its cosines and sines.
    pub fn rotate_heads<'a>(heads: &'a mut [f32], position: (&'a [f32], &'a [f32])) -> () {
        for head in heads.chunks_exact_mut(2 * position.0.len()) {
            rotate_row::<false>(head, position);
        }
    }
}

/// Rotates a head forwards, or backwards with `BACK`. Reads each block before writing it: the compiler does not
/// vectorise otherwise.
#[inline(always)]
pub fn rotate_row<const BACK: bool>(head: &mut [f32], (cos, sin): (&[f32], &[f32])) {
    let (first, second) = head.split_at_mut(cos.len());
    let ((firsts, first_rest), (seconds, second_rest)) = (first.as_chunks_mut(), second.as_chunks_mut());
    let ((coss, cos_rest), (sins, sin_rest)) = (cos.as_chunks::<LANES>(), sin.as_chunks());
    for ((first, second), (cos, sin)) in firsts.iter_mut().zip(seconds).zip(coss.iter().zip(sins)) {
        (*first, *second) = rotate_pairs::<LANES, BACK>(first, second, cos, sin);
    }
    for ((first, second), (cos, sin)) in first_rest.iter_mut().zip(second_rest).zip(cos_rest.iter().zip(sin_rest)) {
        ([*first], [*second]) = rotate_pairs::<1, BACK>(&[*first], &[*second], &[*cos], &[*sin]);
    }
}

/// `(x, y)` becomes `(x cos - y sin, y cos + x sin)`.
#[inline(always)]
fn rotate_pairs<const N: usize, const BACK: bool>(
    first: &[f32; N],
    second: &[f32; N],
    cos: &[f32; N],
    sin: &[f32; N],
) -> ([f32; N], [f32; N]) {
    let (mut x, mut y) = ([0.0; N], [0.0; N]);
    for j in 0..N {
        let sin = if BACK { -sin[j] } else { sin[j] };
        x[j] = first[j].mul_add(cos[j], -(second[j] * sin));
        y[j] = second[j].mul_add(cos[j], first[j] * sin);
    }
    (x, y)
}
