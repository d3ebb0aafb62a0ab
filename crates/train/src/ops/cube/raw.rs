//! Kernel launches as operations of burn's backends, so that fusion knows which tensors they read and write.

use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, backend_extension};
use burn::tensor::{DType, Shape};
use burn_cubecl::CubeBackend;

use super::launch::activation::{self, Activated};
use super::launch::attention::{self, Attended, Attention, AttentionShape};
use super::launch::cross_entropy::{self, LogitRows};
use super::launch::dropout::{self, Dropout};
use super::launch::embedding::{self, EmbeddingShape};
use super::launch::muon::{self, MomentumUpdates, WeightUpdates};
use super::launch::norm::{self, Items, Norm};
use super::launch::optimizer::{self, Eight, Updates};
use super::launch::product;

/// One method per launch or two, without gradients; see the functions of the same name.
#[backend_extension(Cube, Fusion)]
pub trait CubeKernels: Backend {
    /// Product of two matrices or stacks; `dtype` is the element type of the result.
    #[fusion(meta = |lhs: &TensorSpec, rhs: &TensorSpec, dtype: &DType| {
        TensorSpec::new(product::shape(&lhs.shape, &rhs.shape), *dtype)
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

    #[fusion(meta = |norm| {
        TensorSpec::new(Shape::new([norm.shape.rows, norm.shape.columns()]), norm.shape.dtype)
    })]
    fn cube_norm(#[extension_type] norm: Norm<Self>) -> FloatTensor<Self>;

    #[fusion(meta = |norm, _upstream| {
        let Items { width, .. } = norm.shape.items;
        (norm.x.clone(), TensorSpec::new(Shape::new([norm.shape.items.weights(), width]), DType::F32))
    })]
    fn cube_norm_backward(
        #[extension_type] norm: Norm<Self>,
        upstream: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    #[fusion(meta = |activated| {
        TensorSpec::new(Shape::new([activated.shape.rows, activated.shape.hidden]), activated.x.dtype)
    })]
    fn cube_activation(#[extension_type] activated: Activated<Self>) -> FloatTensor<Self>;

    #[fusion(meta = |activated, _upstream| activated.x.clone())]
    fn cube_activation_backward(
        #[extension_type] activated: Activated<Self>,
        upstream: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    /// Output and log-sum-exp.
    #[fusion(meta = |attention| {
        let AttentionShape { batch, seq, layout } = attention.shape;
        let output = TensorSpec::new(Shape::new([batch * seq, layout.query_width()]), attention.qkv.dtype);
        (output, TensorSpec::new(Shape::new([batch * seq, layout.heads]), DType::F32))
    })]
    fn cube_attention(#[extension_type] attention: Attention<Self>) -> (FloatTensor<Self>, FloatTensor<Self>);

    #[fusion(meta = |attended, _upstream| attended.attention.qkv.clone())]
    fn cube_attention_backward(
        #[extension_type] attended: Attended<Self>,
        upstream: FloatTensor<Self>,
    ) -> FloatTensor<Self>;

    #[fusion(meta = |dropout| dropout.x.clone())]
    fn cube_dropout(#[extension_type] dropout: Dropout<Self>) -> FloatTensor<Self>;

    /// Loss terms, and the gradient of the logits in their place.
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

    #[fusion(meta = |sums, _tensors, _count, _offset| sums.clone())]
    fn cube_squares(
        sums: FloatTensor<Self>,
        #[extension_type] tensors: Eight<Self>,
        count: usize,
        offset: usize,
    ) -> FloatTensor<Self>;

    #[fusion(meta = |_sums| TensorSpec::new(Shape::new([1]), DType::F32))]
    fn cube_root(sums: FloatTensor<Self>) -> FloatTensor<Self>;

    /// Parameters, first moments and second moments.
    #[fusion(meta = |updates| (updates.parameters.clone(), updates.first.clone(), updates.second.clone()))]
    fn cube_adamw(#[extension_type] updates: Updates<Self>) -> (Eight<Self>, Eight<Self>, Eight<Self>);

    /// The buffer and the momenta.
    #[fusion(meta = |buffer, updates| (buffer.clone(), updates.momenta.clone()))]
    fn cube_muon_directions(
        buffer: FloatTensor<Self>,
        #[extension_type] updates: MomentumUpdates<Self>,
    ) -> (FloatTensor<Self>, Eight<Self>);

    #[fusion(meta = |_buffer, updates| updates.parameters.clone())]
    fn cube_muon_updates(buffer: FloatTensor<Self>, #[extension_type] updates: WeightUpdates<Self>) -> Eight<Self>;
}

impl CubeKernels for CubeBackend {
    fn cube_product(lhs: FloatTensor<Self>, rhs: FloatTensor<Self>, dtype: DType) -> FloatTensor<Self> {
        product::product(lhs, rhs, dtype)
    }

    fn cube_embedding_backward(
        ids: IntTensor<Self>,
        upstream: FloatTensor<Self>,
        shape: EmbeddingShape,
    ) -> FloatTensor<Self> {
        embedding::backward(ids, upstream, shape)
    }

    fn cube_norm(norm: Norm<Self>) -> FloatTensor<Self> {
        norm::forward(norm)
    }

    fn cube_norm_backward(norm: Norm<Self>, upstream: FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>) {
        norm::backward(norm, upstream)
    }

    fn cube_activation(activated: Activated<Self>) -> FloatTensor<Self> {
        activation::forward(activated)
    }

    fn cube_activation_backward(activated: Activated<Self>, upstream: FloatTensor<Self>) -> FloatTensor<Self> {
        activation::backward(activated, upstream)
    }

    fn cube_attention(attention: Attention<Self>) -> (FloatTensor<Self>, FloatTensor<Self>) {
        attention::forward(attention)
    }

    fn cube_attention_backward(attended: Attended<Self>, upstream: FloatTensor<Self>) -> FloatTensor<Self> {
        attention::backward(attended, upstream)
    }

    fn cube_dropout(dropout: Dropout<Self>) -> FloatTensor<Self> {
        dropout::apply(dropout)
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

    fn cube_squares(sums: FloatTensor<Self>, tensors: Eight<Self>, count: usize, offset: usize) -> FloatTensor<Self> {
        optimizer::squares(sums, tensors, count, offset)
    }

    fn cube_root(sums: FloatTensor<Self>) -> FloatTensor<Self> {
        optimizer::root(sums)
    }

    fn cube_adamw(updates: Updates<Self>) -> (Eight<Self>, Eight<Self>, Eight<Self>) {
        optimizer::step(updates)
    }

    fn cube_muon_directions(
        buffer: FloatTensor<Self>,
        updates: MomentumUpdates<Self>,
    ) -> (FloatTensor<Self>, Eight<Self>) {
        muon::update_momenta(buffer, updates)
    }

    fn cube_muon_updates(buffer: FloatTensor<Self>, updates: WeightUpdates<Self>) -> Eight<Self> {
        muon::update_weights(buffer, updates)
    }
}
