//! Launches of the optimizer.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, ExtensionType};
use burn::tensor::DType;
use burn_cubecl::CubeBackend;
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

/// One step of AdamW. The step's own scale is not read.
#[derive(Clone, Debug, ExtensionType)]
#[extension_type(fusion)]
pub struct Update<B: Backend> {
    pub parameter: FloatTensor<B>,
    pub gradient: FloatTensor<B>,
    /// The moments.
    pub first: FloatTensor<B>,
    pub second: FloatTensor<B>,
    /// The global norm, `[1]`, and its limit; 0 for none.
    pub norm: FloatTensor<B>,
    pub clip: f32,
    pub step: AdamWStep,
}

/// The parameter and its moments after a step.
pub fn step(update: Update<CubeBackend>) -> (CubeTensor, CubeTensor, CubeTensor) {
    let Update { parameter, gradient, first, second, norm, clip, step } = update;
    let [parameter, first, second] = [parameter, first, second].map(owned);
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
