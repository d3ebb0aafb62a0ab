//! Launches of the optimizer.

use burn::tensor::DType;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::buffers::{grid, owned, uninitialized};
use super::kernels::adamw::{FactorsLaunch, UNITS, adamw, root_of_sum, square_sums};
use crate::train::ops::AdamWStep;

/// Elements of which one cube takes the sum, until there are `MOST_SUMS` cubes. The same on all devices.
const ELEMENTS: usize = 1 << 14;
const MOST_SUMS: usize = 256;

/// How many sums the squares of `elements` elements leave.
pub fn sums_of(elements: usize) -> usize {
    elements.div_ceil(ELEMENTS).clamp(1, MOST_SUMS)
}

/// Writes the sums of the squares of `values` into `sums`, from `offset` on.
pub fn squares(sums: CubeTensor, values: CubeTensor, offset: usize) -> CubeTensor {
    let (sums, values) = (owned(sums), into_contiguous(values));
    let (client, elements) = (sums.client.clone(), values.meta.num_elements());
    square_sums::launch(
        &client,
        CubeCount::Static(sums_of(elements) as u32, 1, 1),
        CubeDim::new_1d(UNITS as u32),
        values.into_tensor_arg(),
        sums.clone().into_tensor_arg(),
        elements,
        offset,
    );
    sums
}

/// The root of the sum of `sums`: `[1]`.
pub fn root(sums: CubeTensor) -> CubeTensor {
    let sums = into_contiguous(sums);
    let norm = uninitialized(&sums, [1], DType::F32);
    let (client, count) = (sums.client.clone(), sums.meta.num_elements());
    root_of_sum::launch(
        &client,
        CubeCount::Static(1, 1, 1),
        CubeDim::new_1d(UNITS as u32),
        sums.into_tensor_arg(),
        norm.clone().into_tensor_arg(),
        count,
    );
    norm
}

/// One step of AdamW: the parameter and its moments. `norm` is the global norm on the device, `clip` its limit; the
/// step's own scale is not read.
pub fn step(
    parameter: CubeTensor,
    gradient: CubeTensor,
    moments: [CubeTensor; 2],
    norm: CubeTensor,
    step: AdamWStep,
    clip: f32,
) -> (CubeTensor, CubeTensor, CubeTensor) {
    let parameter = owned(parameter);
    let [first, second] = moments.map(owned);
    let (client, count) = (parameter.client.clone(), parameter.meta.num_elements());
    let factors = step.factors();
    adamw::launch(
        &client,
        grid(count.div_ceil(UNITS)),
        CubeDim::new_1d(UNITS as u32),
        parameter.clone().into_tensor_arg(),
        into_contiguous(gradient).into_tensor_arg(),
        first.clone().into_tensor_arg(),
        second.clone().into_tensor_arg(),
        norm.into_tensor_arg(),
        count,
        FactorsLaunch::new(
            factors.decay,
            factors.step_size,
            factors.root_correction,
            factors.beta1,
            factors.one_minus_beta1,
            factors.beta2,
            factors.one_minus_beta2,
            factors.epsilon,
            clip,
        ),
    );
    (parameter, first, second)
}
