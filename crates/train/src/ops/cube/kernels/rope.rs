//! Rotary positions for other kernels.

use cubecl::prelude::*;

/// Rotation of an element of a head: `cos` times itself plus `sin` times its partner.
#[derive(CubeType)]
pub struct Rotation {
    /// Column of the pair's other element.
    pub partner: usize,
    pub cos: f32,
    pub sin: f32,
}

/// Rotation for `column` of a head at `position`. Pair `j` consists of elements `j` and `j + head_dim / 2`.
#[cube]
pub fn rotation(cos: &[f32], sin: &[f32], column: usize, position: usize, #[comptime] head_dim: usize) -> Rotation {
    let half = comptime!(head_dim / 2);
    let in_first = column < half;
    let pair = position * half + select(in_first, column, column - half);
    Rotation {
        partner: select(in_first, column + half, column - half),
        cos: cos[pair],
        sin: select(in_first, -sin[pair], sin[pair]),
    }
}

/// Element `column` of the head that starts at `at`, rotated by `position`.
#[cube]
pub fn rotated<F: Float>(
    rows: &[F],
    cos: &[f32],
    sin: &[f32],
    at: usize,
    column: usize,
    position: usize,
    #[comptime] head_dim: usize,
) -> f32 {
    let rotation = rotation(cos, sin, column, position, head_dim);
    let (own, other) = (f32::cast_from(rows[at + column]), f32::cast_from(rows[at + rotation.partner]));
    own * rotation.cos + other * rotation.sin
}
