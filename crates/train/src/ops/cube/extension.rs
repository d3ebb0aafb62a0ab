//! Device operations as burn operations, with and without automatic differentiation.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, AutodiffBackend, Backend, Cube, backend_extension};
use burn::tensor::DType;

use super::launch::activation::Activated;
use super::launch::attention::Attention;
use super::launch::dropout::Dropout;
use super::launch::embedding::EmbeddingShape;
use super::launch::norm::Norm;
use super::loss::{CrossEntropy, LossShape};
use super::operations::{Embedding, Linear, NormOf};
use super::raw::CubeKernels;
use crate::ops::differentiable::{Differentiable, Tracked, record};

/// Device operations with the same meaning as the portable operations.
#[backend_extension(Cube, Autodiff)]
pub trait CubeOps: Backend {
    fn device_embedding(weight: FloatTensor<Self>, ids: IntTensor<Self>, shape: EmbeddingShape) -> FloatTensor<Self>;
    fn device_norm(#[extension_type] norm: Norm<Self>) -> FloatTensor<Self>;
    fn device_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        compute: DType,
        output: DType,
    ) -> FloatTensor<Self>;
    fn device_activation(#[extension_type] activated: Activated<Self>) -> FloatTensor<Self>;
    fn device_attention(#[extension_type] attention: Attention<Self>) -> FloatTensor<Self>;
    fn device_dropout(#[extension_type] dropout: Dropout<Self>) -> FloatTensor<Self>;
    fn device_cross_entropy(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        shape: LossShape,
    ) -> FloatTensor<Self>;
    fn device_token_nll(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        shape: LossShape,
    ) -> FloatTensor<Self>;
}

impl CubeOps for Cube {
    fn device_embedding(weight: FloatTensor<Self>, ids: IntTensor<Self>, shape: EmbeddingShape) -> FloatTensor<Self> {
        Embedding { weight, ids, shape }.forward()
    }

    fn device_norm(norm: Norm<Self>) -> FloatTensor<Self> {
        Cube::cube_norm(norm)
    }

    fn device_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        compute: DType,
        output: DType,
    ) -> FloatTensor<Self> {
        Linear { x, weight, compute, output }.forward()
    }

    fn device_activation(activated: Activated<Self>) -> FloatTensor<Self> {
        activated.forward()
    }

    fn device_attention(attention: Attention<Self>) -> FloatTensor<Self> {
        attention.forward()
    }

    fn device_dropout(dropout: Dropout<Self>) -> FloatTensor<Self> {
        dropout.forward()
    }

    fn device_cross_entropy(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        shape: LossShape,
    ) -> FloatTensor<Self> {
        CrossEntropy { x, weight, targets, shape }.forward()
    }

    fn device_token_nll(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        shape: LossShape,
    ) -> FloatTensor<Self> {
        CrossEntropy { x, weight, targets, shape }.nll()
    }
}

impl<C: CheckpointStrategy> CubeOps for Autodiff<Cube, C> {
    fn device_embedding(weight: FloatTensor<Self>, ids: IntTensor<Self>, shape: EmbeddingShape) -> FloatTensor<Self> {
        record::<C, _, _>([&weight], Embedding { weight: plain(&weight), ids, shape })
    }

    fn device_norm(norm: Norm<Self>) -> FloatTensor<Self> {
        let Norm { x, first, second, shape } = norm;
        let norm = Norm { x: plain(&x), first: plain(&first), second: plain(&second), shape };
        match shape.items.weights() {
            1 => record::<C, _, _>([&x, &first], NormOf(norm)),
            _ => record::<C, _, _>([&x, &first, &second], NormOf(norm)),
        }
    }

    fn device_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        compute: DType,
        output: DType,
    ) -> FloatTensor<Self> {
        record::<C, _, _>([&x, &weight], Linear { x: plain(&x), weight: plain(&weight), compute, output })
    }

    fn device_activation(activated: Activated<Self>) -> FloatTensor<Self> {
        let Activated { x, shape } = activated;
        record::<C, _, _>([&x], Activated { x: plain(&x), shape })
    }

    fn device_attention(attention: Attention<Self>) -> FloatTensor<Self> {
        let Attention { qkv, cos, sin, starts, shape } = attention;
        let attention = Attention { qkv: plain(&qkv), cos: plain(&cos), sin: plain(&sin), starts, shape };
        record::<C, _, _>([&qkv], attention)
    }

    fn device_dropout(dropout: Dropout<Self>) -> FloatTensor<Self> {
        let Dropout { x, mask } = dropout;
        record::<C, _, _>([&x], Dropout { x: plain(&x), mask })
    }

    fn device_cross_entropy(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        shape: LossShape,
    ) -> FloatTensor<Self> {
        let loss = CrossEntropy { x: plain(&x), weight: plain(&weight), targets, shape };
        record::<C, _, _>([&x, &weight], loss)
    }

    fn device_token_nll(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        shape: LossShape,
    ) -> FloatTensor<Self> {
        let loss = CrossEntropy { x: plain(&x), weight: plain(&weight), targets, shape };
        <Self as AutodiffBackend>::from_inner(loss.nll())
    }
}

/// Returns the tensor without its autodiff node.
fn plain(tensor: &Tracked<Cube>) -> FloatTensor<Cube> {
    tensor.primitive().clone()
}
