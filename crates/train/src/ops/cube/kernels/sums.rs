//! Sums in one fixed order: the same bits for the same input, independent of the device's scheduling.

use cubecl::prelude::*;

/// Stands for minus infinity, because WGSL has no literal for it.
pub const HIDDEN: f32 = -1e30;

/// Adds the values of `lanes` neighbouring units; each of them gets the sum. `lanes` is a power of two that divides the
/// number of units in a cube. All units of the cube must call this, because it synchronises them.
#[cube]
pub fn sum_of_lanes(value: f32, shared: &mut [f32], #[comptime] lanes: usize) -> f32 {
    let unit = UNIT_POS as usize;
    let lane = unit % lanes;
    sync_cube();
    shared[unit] = value;
    sync_cube();
    let mut distance = comptime!(lanes / 2).runtime();
    while distance > 0 {
        if lane < distance {
            let other = shared[unit + distance];
            shared[unit] += other;
        }
        sync_cube();
        distance /= 2;
    }
    shared[unit - lane]
}

/// Largest value of `lanes` neighbouring units; conditions as for [`sum_of_lanes`].
#[cube]
pub fn largest_of_lanes(value: f32, shared: &mut [f32], #[comptime] lanes: usize) -> f32 {
    let unit = UNIT_POS as usize;
    let lane = unit % lanes;
    sync_cube();
    shared[unit] = value;
    sync_cube();
    let mut distance = comptime!(lanes / 2).runtime();
    while distance > 0 {
        if lane < distance {
            shared[unit] = max(shared[unit], shared[unit + distance]);
        }
        sync_cube();
        distance /= 2;
    }
    shared[unit - lane]
}

/// Sums of the columns of `[rows, columns]`, times `factor`. A cube handles `across` columns with `lanes` units each.
#[cube(launch)]
pub fn column_sums(
    values: &Tensor<f32>,
    sums: &mut Tensor<f32>,
    rows: usize,
    columns: usize,
    factor: f32,
    #[comptime] across: usize,
    #[comptime] lanes: usize,
) {
    let mut shared = Shared::<[f32]>::new_slice(comptime!(across * lanes));
    let lane = UNIT_POS as usize % lanes;
    let column = CUBE_POS * across + UNIT_POS as usize / lanes;
    let mut sum = f32::new(0.0);
    if column < columns {
        let mut row = lane;
        while row < rows {
            sum += values[row * columns + column];
            row += lanes;
        }
    }
    let total = sum_of_lanes(sum, &mut shared, lanes);
    if lane == 0 && column < columns {
        sums[column] = total * factor;
    }
}
