//! Launches of the dropout kernel.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, ExtensionType};
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::buffers::{grid, uninitialized};
use crate::ops::DropoutMask;
use crate::ops::cube::kernels::dropout::{UNITS, WideLaunch, dropout};

/// See `portable::dropout`. The backward pass applies the same operation to the gradient of the output.
#[derive(Clone, Debug, ExtensionType)]
#[extension_type(fusion)]
pub struct Dropout<B: Backend> {
    pub x: FloatTensor<B>,
    pub mask: DropoutMask,
}

pub fn apply(inputs: Dropout<CubeBackend>) -> CubeTensor {
    let (x, mask) = (into_contiguous(inputs.x), inputs.mask);
    let output = uninitialized(&x, x.meta.shape().dims::<2>(), x.dtype);
    let (client, count) = (x.client.clone(), x.meta.num_elements());
    dropout::launch(
        &client,
        grid(count.div_ceil(UNITS)),
        CubeDim::new_1d(UNITS as u32),
        x.into_tensor_arg(),
        output.clone().into_tensor_arg(),
        count,
        WideLaunch::new((mask.seed() >> 32) as u32, mask.seed() as u32),
        mask.probability(),
        mask.kept(),
    );
    output
}
