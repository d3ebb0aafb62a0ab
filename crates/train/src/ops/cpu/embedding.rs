//! Embedding lookup and its gradient.

use std::ops::Range;

use super::parts::in_parts;

/// Gathers row `ids[i]` of `weight` for each `i`; rows are `width` wide.
///
/// # Panics
/// If an id is not a row of `weight`.
pub fn embedding(weight: &[f32], ids: &[usize], width: usize) -> Vec<f32> {
    const ROWS: usize = 64;
    let rows = |part: Range<usize>, out: &mut [f32]| {
        for (out, id) in out.chunks_exact_mut(width).zip(&ids[part.start / width..]) {
            out.copy_from_slice(&weight[id * width..(id + 1) * width]);
        }
    };
    in_parts(ids.len() * width, ROWS * width, rows).0
}

/// Adds each upstream row to the row of `dweight` that its id names, in order.
pub fn add_rows(dweight: &mut [f32], ids: &[usize], width: usize, upstream: &[f32]) {
    for (id, upstream) in ids.iter().zip(upstream.chunks_exact(width)) {
        for (sum, value) in dweight[id * width..(id + 1) * width].iter_mut().zip(upstream) {
            *sum += value;
        }
    }
}
