//! Launches of the norm kernels.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, ExtensionType};
use burn::tensor::DType;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::buffers::{element_type, grid, uninitialized};
use super::sums::column_sums;
use crate::ops::cube::kernels::norm::{UNITS, norm_backward, norm_forward};

pub use crate::ops::cube::kernels::norm::Items;

/// Groups of units that share the items of a backward pass; each group leaves one row of partial sums. The same on all
/// devices, so that bits agree.
const GROUPS: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormShape {
    pub items: Items,
    /// Rows of the matrix.
    pub rows: usize,
    pub eps: f32,
    /// Element type of the output.
    pub dtype: DType,
}

impl NormShape {
    fn count(self) -> usize {
        self.rows * self.items.of_row()
    }

    /// Columns of the matrix.
    pub fn columns(self) -> usize {
        self.items.of_row() * self.items.width
    }
}

/// See `portable::rms_norm` and `portable::qk_norm`. With a single weight, `second` is the first one again.
#[derive(Clone, Debug, ExtensionType)]
#[extension_type(fusion)]
pub struct Norm<B: Backend> {
    pub x: FloatTensor<B>,
    pub first: FloatTensor<B>,
    pub second: FloatTensor<B>,
    pub shape: NormShape,
}

pub fn forward(norm: Norm<CubeBackend>) -> CubeTensor {
    let shape = norm.shape;
    let [x, first, second] = [norm.x, norm.first, norm.second].map(into_contiguous);
    let output = uninitialized(&x, [shape.rows, shape.columns()], shape.dtype);
    let client = x.client.clone();
    let dtypes = [element_type(&x), element_type(&output)];
    norm_forward::launch(
        &client,
        grid(shape.count().div_ceil(shape.items.at_once())),
        CubeDim::new_1d(UNITS as u32),
        x.into_tensor_arg(),
        first.into_tensor_arg(),
        second.into_tensor_arg(),
        output.clone().into_tensor_arg(),
        shape.count(),
        shape.eps,
        shape.items,
        dtypes,
    );
    output
}

/// Gradient of `x`, and of the weights as `[weights, width]`.
pub fn backward(norm: Norm<CubeBackend>, upstream: CubeTensor) -> (CubeTensor, CubeTensor) {
    let shape = norm.shape;
    let [x, first, second, upstream] = [norm.x, norm.first, norm.second, upstream].map(into_contiguous);
    let items = shape.items;
    let groups = GROUPS.min(shape.count().next_multiple_of(items.at_once()));
    let gradient = uninitialized(&x, [shape.rows, shape.columns()], x.dtype);
    let of_weights = uninitialized(&x, [groups, items.weights() * items.width], DType::F32);
    let client = x.client.clone();
    let dtypes = [element_type(&x), element_type(&upstream)];
    norm_backward::launch(
        &client,
        CubeCount::Static((groups / items.at_once()) as u32, 1, 1),
        CubeDim::new_1d(UNITS as u32),
        x.into_tensor_arg(),
        first.into_tensor_arg(),
        second.into_tensor_arg(),
        upstream.into_tensor_arg(),
        gradient.clone().into_tensor_arg(),
        of_weights.clone().into_tensor_arg(),
        shape.count(),
        shape.eps,
        items,
        dtypes,
    );
    (gradient, column_sums(of_weights, [items.weights(), items.width], 1.0))
}
