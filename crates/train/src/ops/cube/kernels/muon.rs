//! Muon's element-wise work, for several parameters at a time. Matrices of one shape lie side by side in a separate
//! buffer, so that one launch multiplies all of them.

use cubecl::prelude::*;

use super::adamw::{UNITS, scale_for};

/// Offsets in the buffer of a parameter's matrices (at most three), and the step size of each.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub struct Places {
    pub first: usize,
    pub second: usize,
    pub third: usize,
    /// Elements of the first matrix, and of the first two.
    pub first_end: usize,
    pub second_end: usize,
    pub first_size: f32,
    pub second_size: f32,
    pub third_size: f32,
}

#[derive(CubeType, CubeLaunch)]
pub struct MomentumUpdate {
    pub gradient: Box<[f32]>,
    pub momentum: Box<[f32]>,
    pub count: usize,
    pub places: Places,
}

#[derive(CubeType, CubeLaunch)]
pub struct WeightUpdate {
    pub parameter: Box<[f32]>,
    pub count: usize,
    pub places: Places,
}

#[cube]
fn place_of(at: usize, places: &Places) -> usize {
    let mut place = places.first + at;
    if at >= places.second_end {
        place = places.third + at - places.second_end;
    } else if at >= places.first_end {
        place = places.second + at - places.first_end;
    }
    place
}

#[cube]
fn size_of(at: usize, places: &Places) -> f32 {
    let mut size = places.first_size;
    if at >= places.second_end {
        size = places.third_size;
    } else if at >= places.first_end {
        size = places.second_size;
    }
    size
}

/// Updates the momentum in place, `m = mu m + (1 - mu) g`, and writes the direction `mu m + (1 - mu) g` to the buffer.
/// Changes no momentum if the norm is NaN or infinite.
#[cube(launch)]
pub fn directions(
    parameters: &mut Sequence<MomentumUpdate>,
    norm: &Tensor<f32>,
    buffer: &mut Tensor<f32>,
    decay: f32,
    new: f32,
    clip: f32,
) {
    let norm = norm[0];
    if norm < 3e38 {
        let factor = new * scale_for(norm, clip);
        #[unroll]
        for i in 0..parameters.len() {
            let it = parameters.index_mut(i);
            let mut at = ABSOLUTE_POS;
            while at < it.count {
                let slope = it.gradient[at] * factor;
                let momentum = it.momentum[at] * decay + slope;
                it.momentum[at] = momentum;
                buffer[place_of(at, &it.places)] = momentum * decay + slope;
                at += CUBE_COUNT * UNITS;
            }
        }
    }
}

/// Applies decay to a parameter and subtracts its update, in place. Changes nothing if the norm is NaN or infinite.
#[cube(launch)]
pub fn subtract_updates(parameters: &mut Sequence<WeightUpdate>, norm: &Tensor<f32>, buffer: &Tensor<f32>, kept: f32) {
    if norm[0] < 3e38 {
        #[unroll]
        for i in 0..parameters.len() {
            let it = parameters.index_mut(i);
            let mut at = ABSOLUTE_POS;
            while at < it.count {
                let update = buffer[place_of(at, &it.places)] * size_of(at, &it.places);
                it.parameter[at] = it.parameter[at] * kept - update;
                at += CUBE_COUNT * UNITS;
            }
        }
    }
}
