//! Launches of the attention kernels.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, ExtensionType};
use burn::tensor::DType;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::buffers::{element_type, uninitialized};
use crate::ops::HeadLayout;
use crate::ops::cube::kernels::attention::attention_forward;
use crate::ops::cube::kernels::attention_backward::{attention_backward_keys, attention_backward_queries};
use crate::ops::cube::kernels::attention_tile::{SIDE, SequencesLaunch, Tiling};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    pub batch: usize,
    pub seq: usize,
    pub layout: HeadLayout,
}

/// See `portable::attention`.
#[derive(Clone, Debug, ExtensionType)]
#[extension_type(fusion)]
pub struct Attention<B: Backend> {
    /// Queries, keys and values, `[batch * seq, width]`.
    pub qkv: FloatTensor<B>,
    /// Cosines and sines, `[seq, head_dim / 2]`.
    pub cos: FloatTensor<B>,
    pub sin: FloatTensor<B>,
    /// Document starts, `[batch * seq]`.
    pub starts: IntTensor<B>,
    pub shape: AttentionShape,
}

/// An attention call and the results that its backward pass needs.
#[derive(Clone, Debug, ExtensionType)]
#[extension_type(fusion)]
pub struct Attended<B: Backend> {
    #[extension_type]
    pub attention: Attention<B>,
    /// `[batch * seq, heads * head_dim]`.
    pub output: FloatTensor<B>,
    /// `[batch * seq, heads]`.
    pub log_sums: FloatTensor<B>,
}

/// Largest tile for which `inputs` tiles of inputs and `scores` tiles of scores fit into `available` bytes of shared
/// memory.
fn tiling(shape: AttentionShape, inputs: usize, scores: usize, available: usize) -> Tiling {
    let HeadLayout { heads, kv_heads, head_dim } = shape.layout;
    let with_tile = |tile| Tiling { tile, head_dim, query_heads: heads, key_heads: kv_heads };
    let fits = |tiling: &Tiling| {
        let maxima = tiling.tile * (SIDE + 1);
        size_of::<f32>() * (inputs * tiling.inputs() + scores * tiling.scores() + maxima) <= available
    };
    [32, 16].map(with_tile).into_iter().find(fits).unwrap_or_else(|| with_tile(SIDE))
}

fn grid(shape: AttentionShape, tiling: Tiling, heads: usize) -> (CubeCount, CubeDim) {
    let tiles = shape.seq.div_ceil(tiling.tile) as u32;
    (CubeCount::Static(tiles, heads as u32, shape.batch as u32), CubeDim::new_1d((SIDE * SIDE) as u32))
}

/// Makes all tensors contiguous, as the kernels require.
fn contiguous(attention: Attention<CubeBackend>) -> Attention<CubeBackend> {
    let Attention { qkv, cos, sin, starts, shape } = attention;
    let [qkv, cos, sin, starts] = [qkv, cos, sin, starts].map(into_contiguous);
    Attention { qkv, cos, sin, starts, shape }
}

fn sequences<F: Float>(attention: Attention<CubeBackend>, tiling: Tiling) -> SequencesLaunch<F> {
    let Attention { qkv, cos, sin, starts, shape } = attention;
    let scale = 1.0 / (shape.layout.head_dim as f32).sqrt();
    let [qkv, cos, sin, starts] = [qkv, cos, sin, starts].map(CubeTensor::into_buffer_arg);
    SequencesLaunch::new(qkv, cos, sin, starts, shape.seq, scale, tiling)
}

/// Output and log-sum-exp of each row; see [`Attended`].
pub fn forward(attention: Attention<CubeBackend>) -> (CubeTensor, CubeTensor) {
    let attention = contiguous(attention);
    let (qkv, shape) = (&attention.qkv, attention.shape);
    let rows = shape.batch * shape.seq;
    let output = uninitialized(qkv, [rows, shape.layout.query_width()], qkv.dtype);
    let log_sums = uninitialized(qkv, [rows, shape.layout.heads], DType::F32);
    let (client, dtype) = (qkv.client.clone(), element_type(qkv));
    let tiling = tiling(shape, 2, 1, client.properties().hardware.max_shared_memory_size);
    let (count, units) = grid(shape, tiling, shape.layout.heads);
    attention_forward::launch(
        &client,
        count,
        units,
        sequences(attention, tiling),
        output.clone().into_tensor_arg(),
        log_sums.clone().into_tensor_arg(),
        dtype,
    );
    (output, log_sums)
}

pub fn backward(attended: Attended<CubeBackend>, upstream: CubeTensor) -> CubeTensor {
    let attention = contiguous(attended.attention);
    let [output, log_sums, upstream] = [attended.output, attended.log_sums, upstream].map(into_contiguous);
    let (qkv, shape) = (&attention.qkv, attention.shape);
    let gradient = uninitialized(qkv, [shape.batch * shape.seq, shape.layout.width()], qkv.dtype);
    let row_dots = uninitialized(qkv, [shape.batch * shape.seq, shape.layout.heads], DType::F32);
    let (client, dtype) = (qkv.client.clone(), element_type(qkv));
    let available = client.properties().hardware.max_shared_memory_size;

    let queries = tiling(shape, 4, 1, available);
    let (count, units) = grid(shape, queries, shape.layout.heads);
    attention_backward_queries::launch(
        &client,
        count,
        units,
        sequences(attention.clone(), queries),
        output.into_tensor_arg(),
        upstream.clone().into_buffer_arg(),
        log_sums.clone().into_tensor_arg(),
        gradient.clone().into_tensor_arg(),
        row_dots.clone().into_tensor_arg(),
        dtype,
    );

    let keys = tiling(shape, 4, 2, available);
    let (count, units) = grid(shape, keys, shape.layout.kv_heads);
    attention_backward_keys::launch(
        &client,
        count,
        units,
        sequences(attention, keys),
        upstream.into_buffer_arg(),
        log_sums.into_tensor_arg(),
        row_dots.into_tensor_arg(),
        gradient.clone().into_tensor_arg(),
        dtype,
    );
    gradient
}
