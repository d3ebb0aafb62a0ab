//! RMSNorm of items `width` long (Zhang and Sennrich 2019): rows of a matrix, or the heads of rows.

use cubecl::prelude::*;

use super::sums::sum_of_lanes;

pub const UNITS: usize = 256;

/// Layout of a row of items: the first ones use one weight, the next ones another, and the last ones pass unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Items {
    /// Elements of an item.
    pub width: usize,
    /// Items of a row that are normed with the first weight.
    pub first: usize,
    /// Items of a row that are normed with the second weight.
    pub second: usize,
    /// Items of a row that pass unchanged.
    pub passed: usize,
}

impl Items {
    pub fn of_row(self) -> usize {
        self.first + self.second + self.passed
    }

    pub fn weights(self) -> usize {
        if self.second == 0 { 1 } else { 2 }
    }

    /// Units that share an item: a power of two.
    pub fn lanes(self) -> usize {
        self.width.next_power_of_two().clamp(32, UNITS)
    }

    /// Items that a cube processes at once.
    pub fn at_once(self) -> usize {
        UNITS / self.lanes()
    }

    /// Elements of an item per unit.
    pub fn of_unit(self) -> usize {
        self.width.div_ceil(self.lanes())
    }
}

/// `x / sqrt(mean(x^2) + eps) * weight` for each item.
#[cube(launch)]
pub fn norm_forward<F: Float, O: Float>(
    x: &Tensor<F>,
    first_weight: &Tensor<f32>,
    second_weight: &Tensor<f32>,
    output: &mut Tensor<O>,
    count: usize,
    eps: f32,
    #[comptime] items: Items,
    #[define(F, O)] _dtypes: [ElemType; 2],
) {
    let (width, lanes) = comptime!((items.width, items.lanes()));
    let mut shared = Shared::<[f32]>::new_slice(UNITS);
    let lane = UNIT_POS as usize % lanes;
    let item = CUBE_POS * comptime!(items.at_once()) + UNIT_POS as usize / lanes;
    let at = item * width;

    let mut squares = f32::new(0.0);
    if item < count {
        let mut column = lane;
        while column < width {
            let value = f32::cast_from(x[at + column]);
            squares += value * value;
            column += lanes;
        }
    }
    let mean = sum_of_lanes(squares, &mut shared, lanes) / comptime!(width as f32);
    let inverse = 1.0 / (mean + eps).sqrt();
    if item < count {
        let place = item % comptime!(items.of_row());
        let mut column = lane;
        while column < width {
            let factor = factor_of(first_weight, second_weight, inverse, place, column, items);
            output[at + column] = O::cast_from(f32::cast_from(x[at + column]) * factor);
            column += lanes;
        }
    }
}

/// Factor of an element: its inverse norm times its weight, or 1 for an item that passes.
#[cube]
fn factor_of(
    first_weight: &Tensor<f32>,
    second_weight: &Tensor<f32>,
    inverse: f32,
    place: usize,
    column: usize,
    #[comptime] items: Items,
) -> f32 {
    let mut factor = f32::new(1.0);
    if place < comptime!(items.first) {
        factor = inverse * first_weight[column];
    } else if place < comptime!(items.first + items.second) {
        factor = inverse * second_weight[column];
    }
    factor
}

/// Gradients of `x`, and partial sums of the weights' gradients for each group of units,
/// `[cubes * at_once, weights * width]`; the caller sums them over rows. Cubes take items in turns.
#[cube(launch)]
pub fn norm_backward<F: Float, O: Float>(
    x: &Tensor<F>,
    first_weight: &Tensor<f32>,
    second_weight: &Tensor<f32>,
    upstream: &Tensor<O>,
    gradient: &mut Tensor<F>,
    of_weights: &mut Tensor<f32>,
    count: usize,
    eps: f32,
    #[comptime] items: Items,
    #[define(F, O)] _dtypes: [ElemType; 2],
) {
    let (width, lanes, of_unit) = comptime!((items.width, items.lanes(), items.of_unit()));
    let mut shared = Shared::<[f32]>::new_slice(UNITS);
    let lane = UNIT_POS as usize % lanes;
    let group = CUBE_POS * comptime!(items.at_once()) + UNIT_POS as usize / lanes;
    let groups = CUBE_COUNT * comptime!(items.at_once());

    let mut sums = Array::<f32>::new(comptime!(items.weights() * of_unit));
    #[unroll]
    for at in 0..comptime!(items.weights() * of_unit) {
        sums[at] = 0.0;
    }
    // All units take the same number of turns, because all must reach the synchronising sums.
    let turns = count.div_ceil(groups);
    for turn in 0..turns {
        let item = turn * groups + group;
        let at = item * width;
        let place = item % comptime!(items.of_row());
        let mut squares = f32::new(0.0);
        let mut projection = f32::new(0.0);
        if item < count {
            let mut column = lane;
            while column < width {
                let value = f32::cast_from(x[at + column]);
                let weight = factor_of(first_weight, second_weight, 1.0, place, column, items);
                squares += value * value;
                projection += value * weight * f32::cast_from(upstream[at + column]);
                column += lanes;
            }
        }
        let mean = sum_of_lanes(squares, &mut shared, lanes) / comptime!(width as f32);
        let inverse = 1.0 / (mean + eps).sqrt();
        let projected = sum_of_lanes(projection, &mut shared, lanes) * inverse * inverse / comptime!(width as f32);
        if item < count {
            #[unroll]
            for k in 0..of_unit {
                let column = lane + k * lanes;
                if column < width {
                    let value = f32::cast_from(x[at + column]);
                    let slope = f32::cast_from(upstream[at + column]);
                    let weight = factor_of(first_weight, second_weight, 1.0, place, column, items);
                    let mut result = slope;
                    if place < comptime!(items.first + items.second) {
                        result = inverse * (slope * weight - value * projected);
                        let of_weight = slope * value * inverse;
                        if place < comptime!(items.first) {
                            sums[k] += of_weight;
                        } else {
                            // With one weight there is no second kind of item, so this branch is never reached.
                            sums[comptime!((items.weights() - 1) * of_unit) + k] += of_weight;
                        }
                    }
                    gradient[at + column] = F::cast_from(result);
                }
            }
        }
    }
    #[unroll]
    for weight in 0..comptime!(items.weights()) {
        #[unroll]
        for k in 0..of_unit {
            let column = lane + k * lanes;
            if column < width {
                let at = (group * comptime!(items.weights()) + weight) * width + column;
                of_weights[at] = sums[weight * of_unit + k];
            }
        }
    }
}
