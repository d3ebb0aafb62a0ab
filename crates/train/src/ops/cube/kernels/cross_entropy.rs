//! Cross-entropy and z-loss of rows of logits.

use cubecl::prelude::*;

use super::sums::{HIDDEN, largest_of_lanes, sum_of_lanes};

pub const UNITS: usize = 256;

/// Computes `-log softmax(logits)[target]` of each row and, `with_z_loss`, `z_loss` times the squared log-sum-exp:
/// `[rows, 1]` or `[rows, 2]`, with zeros for negative targets. `with_gradient` replaces the logits by the gradient of
/// the terms' sum, times `factor`. One cube per row.
#[cube(launch)]
pub fn cross_entropy_rows(
    logits: &mut Tensor<f32>,
    targets: &Tensor<i32>,
    losses: &mut Tensor<f32>,
    rows: usize,
    vocab: usize,
    first_target: usize,
    factor: f32,
    z_loss: f32,
    #[comptime] with_z_loss: bool,
    #[comptime] with_gradient: bool,
) {
    let mut shared = Shared::<[f32]>::new_slice(UNITS);
    let row = CUBE_POS;
    let unit = UNIT_POS as usize;
    if row < rows {
        let at = row * vocab;
        let mut largest = f32::new(HIDDEN);
        let mut column = unit;
        while column < vocab {
            largest = max(largest, logits[at + column]);
            column += UNITS;
        }
        let largest = largest_of_lanes(largest, &mut shared, UNITS);
        let mut sum = f32::new(0.0);
        let mut column = unit;
        while column < vocab {
            sum += (logits[at + column] - largest).exp();
            column += UNITS;
        }
        let sum = sum_of_lanes(sum, &mut shared, UNITS);
        let target = targets[first_target + row];
        let counted = target >= 0;
        let log_sum = largest + sum.ln();
        if unit == 0 {
            let terms = comptime!(if with_z_loss { 2 } else { 1 });
            let mut nll = f32::new(0.0);
            if counted {
                nll = log_sum - logits[at + target as usize];
            }
            losses[row * terms] = nll;
            if comptime!(with_z_loss) {
                losses[row * terms + 1] = select(counted, z_loss * log_sum * log_sum, 0.0);
            }
        }
        if comptime!(with_gradient) {
            // The first unit must read the target's logit before it is replaced.
            sync_cube();
            let mut column = unit;
            while column < vocab {
                let hit = select(counted && column == target as usize, 1.0, 0.0);
                let mut softmax = (logits[at + column] - largest).exp() / sum;
                if comptime!(with_z_loss) {
                    softmax *= 1.0 + 2.0 * z_loss * log_sum;
                }
                let slope = (softmax - hit) * factor;
                logits[at + column] = select(counted, slope, 0.0);
                column += UNITS;
            }
        }
    }
}
