//! Launches of kernels as operations of burn's backends, so that fusion knows what they read and write.

use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, backend_extension};
use burn::tensor::{DType, Shape};
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::matmul::{MatmulStrategy, matmul};

use super::activation::{self, ActivationShape};
use super::attention::{self, Attended, AttentionShape, Positions};
use super::cross_entropy::{self, LogitRows};
use super::embedding::{self, EmbeddingShape};
use super::norm::{self, NormShape};
use super::optimizer;
use crate::train::ops::AdamWStep;

/// One method per launch or two, without gradients; see the functions of the same name.
#[backend_extension(Cube, Fusion)]
pub trait CubeKernels: Backend {
    /// The matrix product, with elements of another type than those that are multiplied.
    #[fusion(meta = |lhs: &TensorSpec, rhs: &TensorSpec, dtype: &DType| {
        TensorSpec::new(Shape::new([lhs.shape[0], rhs.shape[1]]), *dtype)
    })]
    fn cube_product(lhs: FloatTensor<Self>, rhs: FloatTensor<Self>, dtype: DType) -> FloatTensor<Self>;

    #[fusion(meta = |_ids, _upstream, shape: &EmbeddingShape| {
        TensorSpec::new(Shape::new([shape.vocab, shape.width]), DType::F32)
    })]
    fn cube_embedding_backward(
        ids: IntTensor<Self>,
        upstream: FloatTensor<Self>,
        shape: EmbeddingShape,
    ) -> FloatTensor<Self>;

    #[fusion(meta = |_x, _first, _second, shape: &NormShape| {
        TensorSpec::new(Shape::new([shape.rows, shape.columns()]), shape.dtype)
    })]
    fn cube_norm(
        x: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        shape: NormShape,
    ) -> FloatTensor<Self>;

    #[fusion(meta = |x: &TensorSpec, _first, _second, _upstream, shape: &NormShape| {
        (x.clone(), TensorSpec::new(Shape::new([shape.items.weights(), shape.items.width]), DType::F32))
    })]
    fn cube_norm_backward(
        x: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        upstream: FloatTensor<Self>,
        shape: NormShape,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    #[fusion(meta = |x: &TensorSpec, shape: &ActivationShape| {
        TensorSpec::new(Shape::new([shape.rows, shape.hidden]), x.dtype)
    })]
    fn cube_activation(x: FloatTensor<Self>, shape: ActivationShape) -> FloatTensor<Self>;

    #[fusion(dtype = x, shape = x)]
    fn cube_activation_backward(
        x: FloatTensor<Self>,
        upstream: FloatTensor<Self>,
        shape: ActivationShape,
    ) -> FloatTensor<Self>;

    /// Output and logarithms of sums.
    #[fusion(meta = |qkv: &TensorSpec, _cos, _sin, _starts, shape: &AttentionShape| {
        let rows = shape.batch * shape.seq;
        let output = TensorSpec::new(Shape::new([rows, shape.layout.query_width()]), qkv.dtype);
        (output, TensorSpec::new(Shape::new([rows, shape.layout.heads]), DType::F32))
    })]
    fn cube_attention(
        qkv: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        starts: IntTensor<Self>,
        shape: AttentionShape,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    #[fusion(dtype = qkv, shape = qkv)]
    fn cube_attention_backward(
        qkv: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        starts: IntTensor<Self>,
        output: FloatTensor<Self>,
        log_sums: FloatTensor<Self>,
        upstream: FloatTensor<Self>,
        shape: AttentionShape,
    ) -> FloatTensor<Self>;

    /// Terms of losses and, in place of the logits, their gradient.
    #[fusion(meta = |logits: &TensorSpec, _targets, part: &LogitRows, _with_gradient| {
        (TensorSpec::new(Shape::new([part.rows, part.objective.terms()]), DType::F32), logits.clone())
    })]
    fn cube_cross_entropy(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        part: LogitRows,
        with_gradient: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    #[fusion(meta = |values: &TensorSpec, _factor| TensorSpec::new(Shape::new([values.shape[1]]), DType::F32))]
    fn cube_total(values: FloatTensor<Self>, factor: f32) -> FloatTensor<Self>;

    #[fusion(dtype = sums, shape = sums)]
    fn cube_squares(sums: FloatTensor<Self>, values: FloatTensor<Self>, offset: usize) -> FloatTensor<Self>;

    #[fusion(meta = |_sums| TensorSpec::new(Shape::new([1]), DType::F32))]
    fn cube_root(sums: FloatTensor<Self>) -> FloatTensor<Self>;

    /// The parameter and its moments.
    #[fusion(meta = |parameter: &TensorSpec, _gradient, first: &TensorSpec, second: &TensorSpec, _norm, _step, _clip| {
        (parameter.clone(), first.clone(), second.clone())
    })]
    fn cube_adamw(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        norm: FloatTensor<Self>,
        step: AdamWStep,
        clip: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

impl CubeKernels for CubeBackend {
    fn cube_product(lhs: FloatTensor<Self>, rhs: FloatTensor<Self>, dtype: DType) -> FloatTensor<Self> {
        matmul(lhs, rhs, None, MatmulStrategy::default(), dtype).expect("two matrices whose inner sizes agree")
    }

    fn cube_embedding_backward(
        ids: IntTensor<Self>,
        upstream: FloatTensor<Self>,
        shape: EmbeddingShape,
    ) -> FloatTensor<Self> {
        embedding::backward(ids, upstream, shape)
    }

    fn cube_norm(
        x: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        shape: NormShape,
    ) -> FloatTensor<Self> {
        norm::forward(x, [first, second], shape)
    }

    fn cube_norm_backward(
        x: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        upstream: FloatTensor<Self>,
        shape: NormShape,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        norm::backward(x, [first, second], upstream, shape)
    }

    fn cube_activation(x: FloatTensor<Self>, shape: ActivationShape) -> FloatTensor<Self> {
        activation::forward(x, shape)
    }

    fn cube_activation_backward(
        x: FloatTensor<Self>,
        upstream: FloatTensor<Self>,
        shape: ActivationShape,
    ) -> FloatTensor<Self> {
        activation::backward(x, upstream, shape)
    }

    fn cube_attention(
        qkv: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        starts: IntTensor<Self>,
        shape: AttentionShape,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let Attended { output, log_sums } = attention::forward(qkv, Positions { cos, sin, starts }, shape);
        (output, log_sums)
    }

    fn cube_attention_backward(
        qkv: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        starts: IntTensor<Self>,
        output: FloatTensor<Self>,
        log_sums: FloatTensor<Self>,
        upstream: FloatTensor<Self>,
        shape: AttentionShape,
    ) -> FloatTensor<Self> {
        attention::backward(qkv, Positions { cos, sin, starts }, Attended { output, log_sums }, upstream, shape)
    }

    fn cube_cross_entropy(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        part: LogitRows,
        with_gradient: bool,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        cross_entropy::rows(logits, targets, part, with_gradient)
    }

    fn cube_total(values: FloatTensor<Self>, factor: f32) -> FloatTensor<Self> {
        cross_entropy::total(values, factor)
    }

    fn cube_squares(sums: FloatTensor<Self>, values: FloatTensor<Self>, offset: usize) -> FloatTensor<Self> {
        optimizer::squares(sums, values, offset)
    }

    fn cube_root(sums: FloatTensor<Self>) -> FloatTensor<Self> {
        optimizer::root(sums)
    }

    fn cube_adamw(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        norm: FloatTensor<Self>,
        step: AdamWStep,
        clip: f32,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        optimizer::step(parameter, gradient, [first, second], norm, step, clip)
    }
}
