//! Device operations with their hand-written backward passes.

use burn::backend::Cube;
use burn::backend::TensorMetadata;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::DType;

use super::launch::activation::Activated;
use super::launch::attention::{Attended, Attention};
use super::launch::dropout::Dropout;
use super::launch::embedding::EmbeddingShape;
use super::launch::norm::Norm;
use super::raw::CubeKernels;
use crate::ops::DropoutMask;
use crate::ops::differentiable::{Differentiable, saves_itself};

pub type DeviceFloat = FloatTensor<Cube>;
pub type DeviceInt = IntTensor<Cube>;

/// Casts a tensor, if its element type differs.
pub fn cast(tensor: DeviceFloat, dtype: DType) -> DeviceFloat {
    if tensor.dtype() == dtype { tensor } else { Cube::float_cast(tensor, dtype.into()) }
}

/// See `portable::embedding`.
#[derive(Clone, Debug)]
pub struct Embedding {
    pub weight: DeviceFloat,
    pub ids: DeviceInt,
    pub shape: EmbeddingShape,
}

impl Differentiable<1> for Embedding {
    type Backend = Cube;
    type Saved = (DeviceInt, EmbeddingShape);

    fn forward(&self) -> DeviceFloat {
        Cube::float_select(self.weight.clone(), 0, self.ids.clone())
    }

    fn forward_saving(self, _needed: [bool; 1]) -> (DeviceFloat, Self::Saved) {
        (self.forward(), (self.ids, self.shape))
    }

    fn backward((ids, shape): Self::Saved, upstream: DeviceFloat, _needed: [bool; 1]) -> [Option<DeviceFloat>; 1] {
        [Some(Cube::cube_embedding_backward(ids, upstream, shape))]
    }
}

/// A norm with gradients for `N` inputs: `x`, and one weight or two.
#[derive(Clone, Debug)]
pub struct NormOf<const N: usize>(pub Norm<Cube>);

impl<const N: usize> Differentiable<N> for NormOf<N> {
    type Backend = Cube;
    saves_itself!(N);

    fn forward(&self) -> DeviceFloat {
        Cube::cube_norm(self.0.clone())
    }

    fn backward(saved: Self, upstream: DeviceFloat, _needed: [bool; N]) -> [Option<DeviceFloat>; N] {
        let width = saved.0.shape.items.width;
        let (x, weights) = Cube::cube_norm_backward(saved.0, upstream);
        std::array::from_fn(|input| match input {
            0 => Some(x.clone()),
            _ => Some(row(weights.clone(), input - 1, width)),
        })
    }
}

/// Returns a row of `[rows, width]`: `[width]`.
fn row(rows: DeviceFloat, row: usize, width: usize) -> DeviceFloat {
    let found = match rows.shape()[0] {
        1 => rows,
        _ => Cube::float_slice(rows, &[(row..row + 1).into(), (0..width).into()]),
    };
    Cube::float_reshape(found, [width].into())
}

/// `x` times the transpose of `weight`, both rounded to `compute`; sums are f32.
#[derive(Clone, Debug)]
pub struct Linear {
    pub x: DeviceFloat,
    pub weight: DeviceFloat,
    pub compute: DType,
    pub output: DType,
}

/// The rounded operands and the element type of the gradient of `x`.
#[derive(Clone, Debug)]
pub struct SavedLinear {
    x: DeviceFloat,
    weight: DeviceFloat,
    gradient: DType,
}

impl Differentiable<2> for Linear {
    type Backend = Cube;
    type Saved = SavedLinear;

    fn forward(&self) -> DeviceFloat {
        self.clone().forward_saving([false; 2]).0
    }

    fn forward_saving(self, _needed: [bool; 2]) -> (DeviceFloat, SavedLinear) {
        let gradient = self.x.dtype();
        let [x, weight] = [self.x, self.weight].map(|operand| cast(operand, self.compute));
        let product = Cube::cube_product(x.clone(), Cube::float_transpose(weight.clone()), self.output);
        (product, SavedLinear { x, weight, gradient })
    }

    fn backward(saved: SavedLinear, upstream: DeviceFloat, needed: [bool; 2]) -> [Option<DeviceFloat>; 2] {
        let SavedLinear { x, weight, gradient } = saved;
        let upstream = cast(upstream, x.dtype());
        let of_x = needed[0].then(|| Cube::cube_product(upstream.clone(), weight, gradient));
        let of_weight = needed[1].then(|| Cube::cube_product(Cube::float_transpose(upstream), x, DType::F32));
        [of_x, of_weight]
    }
}

impl Differentiable<1> for Activated<Cube> {
    type Backend = Cube;
    saves_itself!(1);

    fn forward(&self) -> DeviceFloat {
        Cube::cube_activation(self.clone())
    }

    fn backward(saved: Self, upstream: DeviceFloat, _needed: [bool; 1]) -> [Option<DeviceFloat>; 1] {
        [Some(Cube::cube_activation_backward(saved, upstream))]
    }
}

impl Differentiable<1> for Attention<Cube> {
    type Backend = Cube;
    type Saved = Attended<Cube>;

    fn forward(&self) -> DeviceFloat {
        Cube::cube_attention(self.clone()).0
    }

    fn forward_saving(self, _needed: [bool; 1]) -> (DeviceFloat, Attended<Cube>) {
        let (output, log_sums) = Cube::cube_attention(self.clone());
        (output.clone(), Attended { attention: self, output, log_sums })
    }

    fn backward(saved: Attended<Cube>, upstream: DeviceFloat, _needed: [bool; 1]) -> [Option<DeviceFloat>; 1] {
        [Some(Cube::cube_attention_backward(saved, upstream))]
    }
}

impl Differentiable<1> for Dropout<Cube> {
    type Backend = Cube;
    type Saved = DropoutMask;

    fn forward(&self) -> DeviceFloat {
        Cube::cube_dropout(self.clone())
    }

    fn forward_saving(self, _needed: [bool; 1]) -> (DeviceFloat, DropoutMask) {
        let mask = self.mask;
        (Cube::cube_dropout(self), mask)
    }

    fn backward(mask: DropoutMask, upstream: DeviceFloat, _needed: [bool; 1]) -> [Option<DeviceFloat>; 1] {
        [Some(Cube::cube_dropout(Dropout { x: upstream, mask }))]
    }
}
