//! Launches of the activation kernels.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, ExtensionType};
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::buffers::{element_type, grid, uninitialized};
use crate::ops::Activation;
use crate::ops::cube::kernels::activation::{gelu_backward, gelu_forward, swiglu_backward, swiglu_forward};

const UNITS: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActivationShape {
    pub activation: Activation,
    pub rows: usize,
    /// Columns of the output.
    pub hidden: usize,
}

impl ActivationShape {
    pub fn new(activation: Activation, rows: usize, columns: usize) -> Self {
        let hidden = match activation {
            Activation::SwiGlu => columns / 2,
            Activation::Gelu => columns,
        };
        ActivationShape { activation, rows, hidden }
    }

    fn count(self) -> usize {
        self.rows * self.hidden
    }

    fn columns(self) -> usize {
        match self.activation {
            Activation::SwiGlu => 2 * self.hidden,
            Activation::Gelu => self.hidden,
        }
    }
}

/// Activation between the two projections of a feed-forward network.
#[derive(Clone, Debug, ExtensionType)]
#[extension_type(fusion)]
pub struct Activated<B: Backend> {
    pub x: FloatTensor<B>,
    pub shape: ActivationShape,
}

pub fn forward(activated: Activated<CubeBackend>) -> CubeTensor {
    let (x, shape) = (into_contiguous(activated.x), activated.shape);
    let output = uninitialized(&x, [shape.rows, shape.hidden], x.dtype);
    let (client, dtype, count) = (x.client.clone(), element_type(&x), shape.count());
    let (cubes, units) = (grid(count.div_ceil(UNITS)), CubeDim::new_1d(UNITS as u32));
    let (x, result) = (x.into_tensor_arg(), output.clone().into_tensor_arg());
    match shape.activation {
        Activation::SwiGlu => swiglu_forward::launch(&client, cubes, units, x, result, count, shape.hidden, dtype),
        Activation::Gelu => gelu_forward::launch(&client, cubes, units, x, result, count, dtype),
    }
    output
}

pub fn backward(activated: Activated<CubeBackend>, upstream: CubeTensor) -> CubeTensor {
    let (x, upstream, shape) = (into_contiguous(activated.x), into_contiguous(upstream), activated.shape);
    let gradient = uninitialized(&x, [shape.rows, shape.columns()], x.dtype);
    let (client, dtype, count) = (x.client.clone(), element_type(&x), shape.count());
    let (cubes, units) = (grid(count.div_ceil(UNITS)), CubeDim::new_1d(UNITS as u32));
    let (x, upstream, result) = (x.into_tensor_arg(), upstream.into_tensor_arg(), gradient.clone().into_tensor_arg());
    match shape.activation {
        Activation::SwiGlu => {
            swiglu_backward::launch(&client, cubes, units, x, upstream, result, count, shape.hidden, dtype);
        }
        Activation::Gelu => gelu_backward::launch(&client, cubes, units, x, upstream, result, count, dtype),
    }
    gradient
}
