//! The operations of devices as burn operations, with and without automatic differentiation.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, AutodiffBackend, Backend, Cube, backend_extension};
use burn::tensor::DType;

use super::activation::ActivationShape;
use super::attention::{AttentionShape, Positions};
use super::embedding::EmbeddingShape;
use super::loss::{CrossEntropy, LossShape};
use super::norm::NormShape;
use super::operations::{Activated, Attention, Embedding, Linear, Norm};
use crate::train::ops::differentiable::{Differentiable, Tracked, record};

/// Meaning is that of the portable operations.
#[backend_extension(Cube, Autodiff)]
pub trait CubeOps: Backend {
    fn device_embedding(weight: FloatTensor<Self>, ids: IntTensor<Self>, shape: EmbeddingShape) -> FloatTensor<Self>;
    fn device_rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, shape: NormShape) -> FloatTensor<Self>;
    fn device_qk_norm(
        qkv: FloatTensor<Self>,
        query_weight: FloatTensor<Self>,
        key_weight: FloatTensor<Self>,
        shape: NormShape,
    ) -> FloatTensor<Self>;
    fn device_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        compute: DType,
        output: DType,
    ) -> FloatTensor<Self>;
    fn device_activation(x: FloatTensor<Self>, shape: ActivationShape) -> FloatTensor<Self>;
    fn device_attention(
        qkv: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        starts: IntTensor<Self>,
        shape: AttentionShape,
    ) -> FloatTensor<Self>;
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

    fn device_rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, shape: NormShape) -> FloatTensor<Self> {
        Norm::<2> { x, first: weight.clone(), second: weight, shape }.forward()
    }

    fn device_qk_norm(
        qkv: FloatTensor<Self>,
        query_weight: FloatTensor<Self>,
        key_weight: FloatTensor<Self>,
        shape: NormShape,
    ) -> FloatTensor<Self> {
        Norm::<3> { x: qkv, first: query_weight, second: key_weight, shape }.forward()
    }

    fn device_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        compute: DType,
        output: DType,
    ) -> FloatTensor<Self> {
        Linear { x, weight, compute, output }.forward()
    }

    fn device_activation(x: FloatTensor<Self>, shape: ActivationShape) -> FloatTensor<Self> {
        Activated { x, shape }.forward()
    }

    fn device_attention(
        qkv: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        starts: IntTensor<Self>,
        shape: AttentionShape,
    ) -> FloatTensor<Self> {
        Attention { qkv, positions: Positions { cos, sin, starts }, shape }.forward()
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

    fn device_rms_norm(x: FloatTensor<Self>, weight: FloatTensor<Self>, shape: NormShape) -> FloatTensor<Self> {
        let norm = Norm::<2> { x: plain(&x), first: plain(&weight), second: plain(&weight), shape };
        record::<C, _, _>([&x, &weight], norm)
    }

    fn device_qk_norm(
        qkv: FloatTensor<Self>,
        query_weight: FloatTensor<Self>,
        key_weight: FloatTensor<Self>,
        shape: NormShape,
    ) -> FloatTensor<Self> {
        let norm = Norm::<3> { x: plain(&qkv), first: plain(&query_weight), second: plain(&key_weight), shape };
        record::<C, _, _>([&qkv, &query_weight, &key_weight], norm)
    }

    fn device_linear(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        compute: DType,
        output: DType,
    ) -> FloatTensor<Self> {
        record::<C, _, _>([&x, &weight], Linear { x: plain(&x), weight: plain(&weight), compute, output })
    }

    fn device_activation(x: FloatTensor<Self>, shape: ActivationShape) -> FloatTensor<Self> {
        record::<C, _, _>([&x], Activated { x: plain(&x), shape })
    }

    fn device_attention(
        qkv: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        starts: IntTensor<Self>,
        shape: AttentionShape,
    ) -> FloatTensor<Self> {
        let positions = Positions { cos: plain(&cos), sin: plain(&sin), starts };
        record::<C, _, _>([&qkv], Attention { qkv: plain(&qkv), positions, shape })
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

/// The tensor without its place in the graph.
fn plain(tensor: &Tracked<Cube>) -> FloatTensor<Cube> {
    tensor.primitive().clone()
}
