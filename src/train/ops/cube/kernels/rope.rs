//! Rotary positions inside other kernels.

use cubecl::prelude::*;

/// Element `column` of the head that begins at `at`, turned by `position`: pair `j` is made of the elements `j` and
/// `j + head_dim / 2`.
#[cube]
pub fn rotated<F: Float>(
    rows: &Tensor<F>,
    cos: &Tensor<f32>,
    sin: &Tensor<f32>,
    at: usize,
    column: usize,
    position: usize,
    #[comptime] head_dim: usize,
) -> f32 {
    let half = comptime!(head_dim / 2);
    let in_first = column < half;
    let pair = position * half + select(in_first, column, column - half);
    let partner = select(in_first, column + half, column - half);
    let (own, other) = (f32::cast_from(rows[at + column]), f32::cast_from(rows[at + partner]));
    let sine = select(in_first, -sin[pair], sin[pair]);
    own * cos[pair] + other * sine
}
