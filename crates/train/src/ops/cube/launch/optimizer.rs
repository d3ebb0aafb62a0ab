//! Launches of the optimizer's kernels.

use std::ops::Range;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, ExtensionType};
use burn::tensor::DType;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::buffers::{grid, owned, uninitialized};
use crate::ops::AdamWStep;
use crate::ops::cube::kernels::adamw::{
    FactorsLaunch, TrainedLaunch, UNITS, ValuesLaunch, adamw, root_of_sum, square_sums,
};

/// Elements that one cube sums, up to `MAX_SUMS` cubes. The same on all devices, so that bits agree.
const ELEMENTS: usize = 1 << 14;
const MAX_SUMS: usize = 256;

/// Number of partial sums for the squares of `elements` elements.
pub fn sums_of(elements: usize) -> usize {
    elements.div_ceil(ELEMENTS).clamp(1, MAX_SUMS)
}

/// Up to eight flat tensors: a backend operation takes a fixed number of tensors and is told how many are in use.
#[derive(Clone, Debug, ExtensionType)]
#[extension_type(fusion)]
pub struct Eight<B: Backend> {
    pub a: FloatTensor<B>,
    pub b: FloatTensor<B>,
    pub c: FloatTensor<B>,
    pub d: FloatTensor<B>,
    pub e: FloatTensor<B>,
    pub f: FloatTensor<B>,
    pub g: FloatTensor<B>,
    pub h: FloatTensor<B>,
}

impl<B: Backend> Eight<B> {
    pub const MAX: usize = 8;

    /// Fills unused places with `filling`.
    pub fn new(tensors: impl IntoIterator<Item = FloatTensor<B>>, filling: &FloatTensor<B>) -> Self {
        let mut tensors = tensors.into_iter();
        let [a, b, c, d, e, f, g, h] = std::array::from_fn(|_| tensors.next().unwrap_or_else(|| filling.clone()));
        Eight { a, b, c, d, e, f, g, h }
    }

    pub fn into_array(self) -> [FloatTensor<B>; 8] {
        let Eight { a, b, c, d, e, f, g, h } = self;
        [a, b, c, d, e, f, g, h]
    }
}

impl Eight<CubeBackend> {
    /// Makes the first `count` tensors writable for a kernel.
    pub fn into_owned(self, count: usize) -> [CubeTensor; 8] {
        let mut places = 0..;
        self.into_array().map(|tensor| if places.next() < Some(count) { owned(tensor) } else { tensor })
    }
}

/// Grid with one unit for each element of the largest tensor.
pub fn cubes_for(tensors: &[CubeTensor]) -> CubeCount {
    grid(tensors.iter().map(|tensor| tensor.meta.num_elements().div_ceil(UNITS)).max().unwrap_or(1))
}

/// Splits the indices below `count` into groups for one launch each, so that `own` buffers per index plus `shared` ones
/// fit the device's binding limit.
pub fn groups(tensor: &CubeTensor, count: usize, own: usize, shared: usize) -> Vec<Range<usize>> {
    // Scalars occupy one more binding.
    let bindings = tensor.client.properties().hardware.max_bindings as usize;
    let most = (bindings.saturating_sub(1 + shared) / own).max(1);
    (0..count).step_by(most).map(|start| start..count.min(start + most)).collect()
}

/// Writes partial sums of squares of the first `count` tensors into `sums`, from `offset` on: `sums_of` values for
/// each.
pub fn squares(sums: CubeTensor, tensors: Eight<CubeBackend>, count: usize, mut offset: usize) -> CubeTensor {
    let (sums, tensors) = (owned(sums), tensors.into_array().map(into_contiguous));
    let client = sums.client.clone();
    for group in groups(&sums, count, 1, 1) {
        let group = &tensors[group];
        let cubes_of = |tensor: &CubeTensor| sums_of(tensor.meta.num_elements());
        let most = group.iter().map(cubes_of).max().unwrap_or(1);
        let mut values = SequenceArg::new();
        for tensor in group {
            let (count, cubes) = (tensor.meta.num_elements(), cubes_of(tensor));
            values.push(ValuesLaunch::new(tensor.clone().into_buffer_arg(), count, cubes, offset));
            offset += cubes;
        }
        square_sums::launch(
            &client,
            CubeCount::Static(most as u32, group.len() as u32, 1),
            CubeDim::new_1d(UNITS as u32),
            values,
            sums.clone().into_tensor_arg(),
        );
    }
    sums
}

/// Square root of the sum of `sums`: `[1]`.
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

#[derive(Clone, Debug, ExtensionType)]
#[extension_type(fusion)]
pub struct Updates<B: Backend> {
    #[extension_type]
    pub parameters: Eight<B>,
    #[extension_type]
    pub gradients: Eight<B>,
    #[extension_type]
    pub first: Eight<B>,
    #[extension_type]
    pub second: Eight<B>,
    pub count: usize,
    /// Global norm, `[1]`, and its limit; a limit of 0 disables clipping.
    pub norm: FloatTensor<B>,
    pub clip: f32,
    /// `step.gradient_scale` is ignored.
    pub step: AdamWStep,
}

/// Computes a step of AdamW; returns the parameters, first and second moments.
pub fn step(updates: Updates<CubeBackend>) -> (Eight<CubeBackend>, Eight<CubeBackend>, Eight<CubeBackend>) {
    let Updates { parameters, gradients, first, second, count, norm, clip, step } = updates;
    let [parameters, first, second] = [parameters, first, second].map(|tensors| tensors.into_owned(count));
    let gradients = gradients.into_array().map(into_contiguous);
    let client = norm.client.clone();
    let factors = step.factors();
    for group in groups(&norm, count, 4, 1) {
        let cubes = cubes_for(&parameters[group.clone()]);
        let mut trained = SequenceArg::new();
        for at in group {
            let [parameter, gradient, first, second] =
                [&parameters, &gradients, &first, &second].map(|tensors| tensors[at].clone().into_buffer_arg());
            trained.push(TrainedLaunch::new(parameter, gradient, first, second, parameters[at].meta.num_elements()));
        }
        adamw::launch(
            &client,
            cubes,
            CubeDim::new_1d(UNITS as u32),
            trained,
            norm.clone().into_tensor_arg(),
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
    }
    let [parameters, first, second] = [parameters, first, second].map(|tensors| Eight::new(tensors, &norm));
    (parameters, first, second)
}
