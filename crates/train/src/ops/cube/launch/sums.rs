//! Launches of the sum kernels.

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::buffers::{grid, uninitialized};
use crate::ops::cube::kernels::sums;

const UNITS: usize = 256;

/// Sums of the contiguous `values` over the first dimension, times `factor`, reshaped to `shape`.
pub fn column_sums<const D: usize>(values: CubeTensor, shape: [usize; D], factor: f32) -> CubeTensor {
    let columns: usize = shape.iter().product();
    let rows = values.meta.num_elements() / columns;
    let across = if columns < 32 { 1 } else { 32 };
    let sums = uninitialized(&values, shape, DType::F32);
    let client = values.client.clone();
    sums::column_sums::launch(
        &client,
        grid(columns.div_ceil(across)),
        CubeDim::new_1d(UNITS as u32),
        values.into_tensor_arg(),
        sums.clone().into_tensor_arg(),
        rows,
        columns,
        factor,
        across,
        UNITS / across,
    );
    sums
}
