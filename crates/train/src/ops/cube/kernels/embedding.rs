//! The gradient of an embedding.

use cubecl::prelude::*;

use super::sums::sum_of_lanes;

pub const UNITS: usize = 256;

/// For each row of the vocabulary, sums the gradients `[count, width]` of its tokens in their order. One cube per row:
/// most rows have no token in a batch and finish after one pass over the ids.
#[cube(launch)]
pub fn embedding_backward<I: Int>(
    ids: &Tensor<I>,
    upstream: &Tensor<f32>,
    gradient: &mut Tensor<f32>,
    count: usize,
    width: usize,
    vocab: usize,
    #[define(I)] _dtype: ElemType,
) {
    let mut shared = Shared::<[f32]>::new_slice(UNITS);
    let row = CUBE_POS;
    let id = row as i32;
    let unit = UNIT_POS as usize;
    let mut found = f32::new(0.0);
    let mut token = unit;
    while token < count {
        if i32::cast_from(ids[token]) == id {
            found += 1.0;
        }
        token += UNITS;
    }
    let tokens = sum_of_lanes(found, &mut shared, UNITS);
    if row < vocab {
        let mut column = unit;
        while column < width {
            let mut sum = f32::new(0.0);
            if tokens > 0.0 {
                for token in 0..count {
                    if i32::cast_from(ids[token]) == id {
                        sum += upstream[token * width + column];
                    }
                }
            }
            gradient[row * width + column] = sum;
            column += UNITS;
        }
    }
}
