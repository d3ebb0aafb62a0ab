//! Optimizer kernels: global gradient norm, and AdamW with clipping by it.

use cubecl::prelude::*;

use super::sums::sum_of_lanes;

pub const UNITS: usize = 256;

#[derive(CubeType, CubeLaunch)]
pub struct Values {
    pub values: Box<[f32]>,
    pub count: usize,
    /// Number of cubes that share the tensor, and the index of the first one's sum.
    pub cubes: usize,
    pub offset: usize,
}

/// Sums of squares, one per cube. The grid has as many columns as the tensor with the most cubes needs, and one row per
/// tensor. A tensor's cubes take its elements in turns.
#[cube(launch)]
pub fn square_sums(tensors: &Sequence<Values>, sums: &mut Tensor<f32>) {
    let mut shared = Shared::<[f32]>::new_slice(UNITS);
    let cube = CUBE_POS_X as usize;
    let mut sum = f32::new(0.0);
    #[unroll]
    for i in 0..tensors.len() {
        let tensor = tensors.index(i);
        if CUBE_POS_Y as usize == i && cube < tensor.cubes {
            let mut at = cube * UNITS + UNIT_POS as usize;
            while at < tensor.count {
                sum += tensor.values[at] * tensor.values[at];
                at += tensor.cubes * UNITS;
            }
        }
    }
    let total = sum_of_lanes(sum, &mut shared, UNITS);
    #[unroll]
    for i in 0..tensors.len() {
        let tensor = tensors.index(i);
        if CUBE_POS_Y as usize == i && cube < tensor.cubes && UNIT_POS == 0 {
            sums[tensor.offset + cube] = total;
        }
    }
}

/// Square root of the sum of `sums`; runs as one cube.
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

/// Factor of the gradients that limits their global norm to `clip`; a `clip` of 0 disables the limit.
#[cube]
pub fn scale_for(norm: f32, clip: f32) -> f32 {
    let mut scale = f32::new(1.0);
    if clip > 0.0 {
        scale = min(clip / (norm + 1e-6), 1.0);
    }
    scale
}

#[derive(CubeType, CubeLaunch)]
pub struct Trained {
    pub parameter: Box<[f32]>,
    pub gradient: Box<[f32]>,
    pub first: Box<[f32]>,
    pub second: Box<[f32]>,
    pub count: usize,
}

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
    /// Limit of the global norm; 0 disables it.
    pub clip: f32,
}

/// One step of AdamW in place, one parameter after another. Changes nothing if the norm is NaN or infinite.
#[cube(launch)]
pub fn adamw(parameters: &mut Sequence<Trained>, norm: &Tensor<f32>, factors: Factors) {
    let norm = norm[0];
    // Comparisons with NaN are false.
    if norm < 3e38 {
        let scale = scale_for(norm, factors.clip);
        #[unroll]
        for i in 0..parameters.len() {
            let it = parameters.index_mut(i);
            let mut at = ABSOLUTE_POS;
            while at < it.count {
                let slope = it.gradient[at] * scale;
                let mean = it.first[at] * factors.beta1 + slope * factors.one_minus_beta1;
                let square = it.second[at] * factors.beta2 + slope * slope * factors.one_minus_beta2;
                let denominator = square.sqrt() * factors.root_correction + factors.epsilon;
                it.parameter[at] = it.parameter[at] * factors.decay - factors.step_size * (mean / denominator);
                it.first[at] = mean;
                it.second[at] = square;
                at += CUBE_COUNT * UNITS;
            }
        }
    }
}
