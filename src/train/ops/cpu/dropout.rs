//! Dropout, forward and backward: both multiply with the same factors.

use rayon::prelude::*;

use crate::train::ops::DropoutMask;

/// Each element times its factor.
pub fn dropout(x: &[f32], mask: DropoutMask) -> Vec<f32> {
    const TASK: usize = 1 << 14;
    let mut out = vec![0.0; x.len()];
    out.par_chunks_mut(TASK).zip(x.par_chunks(TASK)).enumerate().for_each(|(task, (out, x))| {
        for (index, (out, x)) in out.iter_mut().zip(x).enumerate() {
            *out = x * mask.factor(task * TASK + index);
        }
    });
    out
}
