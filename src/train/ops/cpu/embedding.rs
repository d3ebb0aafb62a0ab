//! Rows of the embedding, and the gradient that flows back into them.

use rayon::prelude::*;

/// Row `ids[i]` of `weight` for each `i`; rows are `width` wide.
///
/// # Panics
/// When an id is not a row of `weight`.
pub fn embedding(weight: &[f32], ids: &[usize], width: usize) -> Vec<f32> {
    let mut out = vec![0.0; ids.len() * width];
    out.par_chunks_mut(width).zip(ids).with_min_len(64).for_each(|(out, id)| {
        out.copy_from_slice(&weight[id * width..(id + 1) * width]);
    });
    out
}

/// Adds each upstream row to the row of `dweight` of its id, in order.
pub fn add_rows(dweight: &mut [f32], ids: &[usize], width: usize, upstream: &[f32]) {
    for (id, upstream) in ids.iter().zip(upstream.chunks_exact(width)) {
        for (sum, value) in dweight[id * width..(id + 1) * width].iter_mut().zip(upstream) {
            *sum += value;
        }
    }
}
