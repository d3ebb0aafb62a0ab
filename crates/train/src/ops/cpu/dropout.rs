//! Dropout; forward and backward multiply by the same factors.

use std::ops::Range;

use super::parts::in_parts;
use crate::ops::DropoutMask;

pub fn dropout(x: &[f32], mask: DropoutMask) -> Vec<f32> {
    const TASK: usize = 1 << 14;
    let elements = |part: Range<usize>, out: &mut [f32]| {
        for ((out, x), index) in out.iter_mut().zip(&x[part.clone()]).zip(part) {
            *out = x * mask.factor(index);
        }
    };
    in_parts(x.len(), TASK, elements).0
}
