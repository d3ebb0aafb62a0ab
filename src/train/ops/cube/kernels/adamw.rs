//! The optimizer: the global norm of the gradients, and AdamW with what it says.

use cubecl::prelude::*;

use super::sums::sum_of_lanes;

/// Units of a cube.
pub const UNITS: usize = 256;

/// Sums of the squares of what each cube takes, written from `offset` on. Cubes take elements in turns.
#[cube(launch)]
pub fn square_sums(values: &Tensor<f32>, sums: &mut Tensor<f32>, count: usize, offset: usize) {
    let mut shared = Shared::<[f32]>::new_slice(UNITS);
    let mut sum = f32::new(0.0);
    let mut at = ABSOLUTE_POS;
    while at < count {
        sum += values[at] * values[at];
        at += CUBE_COUNT * UNITS;
    }
    let total = sum_of_lanes(sum, &mut shared, UNITS);
    if UNIT_POS == 0 {
        sums[offset + CUBE_POS] = total;
    }
}

/// The root of the sum of `sums`; one cube.
#[cube(launch)]
pub fn root_of_sum(sums: &Tensor<f32>, norm: &mut Tensor<f32>, count: usize) {
    let mut shared = Shared::<[f32]>::new_slice(UNITS);
    let mut sum = f32::new(0.0);
    let mut at = UNIT_POS as usize;
    while at < count {
        sum += sums[at];
        at += UNITS;
    }
    let total = sum_of_lanes(sum, &mut shared, UNITS);
    if UNIT_POS == 0 {
        norm[0] = total.sqrt();
    }
}

/// What is equal for all elements of a parameter.
#[derive(CubeLaunch, CubeType, Clone, Copy)]
pub struct Factors {
    pub decay: f32,
    pub step_size: f32,
    pub root_correction: f32,
    pub beta1: f32,
    pub one_minus_beta1: f32,
    pub beta2: f32,
    pub one_minus_beta2: f32,
    pub epsilon: f32,
    /// The limit of the global norm; 0 for none.
    pub clip: f32,
}

/// One step of AdamW in place. Nothing changes when the norm is NaN or infinite.
#[cube(launch)]
pub fn adamw(
    parameter: &mut Tensor<f32>,
    gradient: &Tensor<f32>,
    first: &mut Tensor<f32>,
    second: &mut Tensor<f32>,
    norm: &Tensor<f32>,
    count: usize,
    factors: Factors,
) {
    let at = ABSOLUTE_POS;
    let norm = norm[0];
    // Not a number is not below anything.
    if at < count && norm < 3e38 {
        let mut scale = f32::new(1.0);
        if factors.clip > 0.0 {
            scale = min(factors.clip / (norm + 1e-6), 1.0);
        }
        let slope = gradient[at] * scale;
        let mean = first[at] * factors.beta1 + slope * factors.one_minus_beta1;
        let square = second[at] * factors.beta2 + slope * slope * factors.one_minus_beta2;
        let denominator = square.sqrt() * factors.root_correction + factors.epsilon;
        parameter[at] = parameter[at] * factors.decay - factors.step_size * (mean / denominator);
        first[at] = mean;
        second[at] = square;
    }
}
