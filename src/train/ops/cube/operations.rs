//! Each operation of devices with its hand-written backward pass.

use burn::backend::Cube;
use burn::backend::TensorMetadata;
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::DType;

use super::activation::ActivationShape;
use super::attention::{AttentionShape, Positions};
use super::embedding::EmbeddingShape;
use super::norm::NormShape;
use super::raw::CubeKernels;
use crate::train::ops::differentiable::Differentiable;

pub type DeviceFloat = FloatTensor<Cube>;
pub type DeviceInt = IntTensor<Cube>;

/// The tensor with elements of another type.
pub fn cast(tensor: DeviceFloat, dtype: DType) -> DeviceFloat {
    if tensor.dtype() == dtype { tensor } else { Cube::float_cast(tensor, dtype.into()) }
}

/// `saves_itself!(N)`: the backward pass needs no more than the inputs.
macro_rules! saves_itself {
    ($inputs:literal) => {
        type Backend = Cube;
        type Saved = Self;

        fn forward_saving(self, _needed: [bool; $inputs]) -> (DeviceFloat, Self) {
            (self.forward(), self)
        }
    };
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

/// See `portable::rms_norm` and `portable::qk_norm`. Without a second weight, the first one stands in for it.
#[derive(Clone, Debug)]
pub struct Norm<const N: usize> {
    pub x: DeviceFloat,
    pub first: DeviceFloat,
    pub second: DeviceFloat,
    pub shape: NormShape,
}

impl<const N: usize> Norm<N> {
    fn output(&self) -> DeviceFloat {
        let Norm { x, first, second, shape } = self.clone();
        Cube::cube_norm(x, first, second, shape)
    }

    /// Gradients of `x`, and of the weights, `[weights, width]`.
    fn gradients(self, upstream: DeviceFloat) -> (DeviceFloat, DeviceFloat) {
        let Norm { x, first, second, shape } = self;
        Cube::cube_norm_backward(x, first, second, upstream, shape)
    }
}

impl Differentiable<2> for Norm<2> {
    saves_itself!(2);

    fn forward(&self) -> DeviceFloat {
        self.output()
    }

    fn backward(saved: Self, upstream: DeviceFloat, _needed: [bool; 2]) -> [Option<DeviceFloat>; 2] {
        let width = saved.shape.items.width;
        let (x, weight) = saved.gradients(upstream);
        [Some(x), Some(Cube::float_reshape(weight, [width].into()))]
    }
}

impl Differentiable<3> for Norm<3> {
    saves_itself!(3);

    fn forward(&self) -> DeviceFloat {
        self.output()
    }

    fn backward(saved: Self, upstream: DeviceFloat, _needed: [bool; 3]) -> [Option<DeviceFloat>; 3] {
        let width = saved.shape.items.width;
        let (x, weights) = saved.gradients(upstream);
        let weight = |row: usize| {
            let row = Cube::float_slice(weights.clone(), &[(row..row + 1).into(), (0..width).into()]);
            Some(Cube::float_reshape(row, [width].into()))
        };
        [Some(x), weight(0), weight(1)]
    }
}

/// `x` times the transpose of `weight`, both rounded to `compute`; sums are f32.
#[derive(Clone, Debug)]
pub struct Linear {
    pub x: DeviceFloat,
    pub weight: DeviceFloat,
    pub compute: DType,
    /// Elements of the output.
    pub output: DType,
}

/// The rounded operands, and the type of the gradient of `x`.
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

/// What stands between the two projections of a feed-forward network.
#[derive(Clone, Debug)]
pub struct Activated {
    pub x: DeviceFloat,
    pub shape: ActivationShape,
}

impl Differentiable<1> for Activated {
    saves_itself!(1);

    fn forward(&self) -> DeviceFloat {
        Cube::cube_activation(self.x.clone(), self.shape)
    }

    fn backward(saved: Self, upstream: DeviceFloat, _needed: [bool; 1]) -> [Option<DeviceFloat>; 1] {
        [Some(Cube::cube_activation_backward(saved.x, upstream, saved.shape))]
    }
}

/// See `portable::attention`.
#[derive(Clone, Debug)]
pub struct Attention {
    pub qkv: DeviceFloat,
    pub positions: Positions<DeviceFloat, DeviceInt>,
    pub shape: AttentionShape,
}

/// What the backward pass of attention reads.
#[derive(Clone, Debug)]
pub struct SavedAttention {
    attention: Attention,
    output: DeviceFloat,
    log_sums: DeviceFloat,
}

impl Differentiable<1> for Attention {
    type Backend = Cube;
    type Saved = SavedAttention;

    fn forward(&self) -> DeviceFloat {
        self.clone().forward_saving([false]).0
    }

    fn forward_saving(self, _needed: [bool; 1]) -> (DeviceFloat, SavedAttention) {
        let Attention { qkv, positions, shape } = self.clone();
        let Positions { cos, sin, starts } = positions;
        let (output, log_sums) = Cube::cube_attention(qkv, cos, sin, starts, shape);
        (output.clone(), SavedAttention { attention: self, output, log_sums })
    }

    fn backward(saved: SavedAttention, upstream: DeviceFloat, _needed: [bool; 1]) -> [Option<DeviceFloat>; 1] {
        let SavedAttention { attention: Attention { qkv, positions, shape }, output, log_sums } = saved;
        let Positions { cos, sin, starts } = positions;
        [Some(Cube::cube_attention_backward(qkv, cos, sin, starts, output, log_sums, upstream, shape))]
    }
}
