//! Launches of attention.

use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::buffers::{element_type, uninitialized};
use super::kernels::attention::{SIDE, Tiling, attention_forward};
use super::kernels::attention_backward::{attention_backward_keys, attention_backward_queries};
use crate::train::ops::HeadLayout;

/// The shape of one attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    /// Sequences.
    pub batch: usize,
    /// Tokens of each.
    pub seq: usize,
    /// Columns of a row.
    pub layout: HeadLayout,
}

/// What attention reads besides queries, keys and values: cosines and sines `[seq, head_dim / 2]`, document starts
/// `[batch * seq]`.
#[derive(Clone, Debug)]
pub struct Positions<Float, Int> {
    pub cos: Float,
    pub sin: Float,
    pub starts: Int,
}

type CubePositions = Positions<CubeTensor, CubeTensor>;

/// What the forward pass leaves for the backward pass.
pub struct Attended {
    /// `[batch * seq, heads * head_dim]`.
    pub output: CubeTensor,
    /// `[batch * seq, heads]`.
    pub log_sums: CubeTensor,
}

/// The largest tile whose `inputs` tiles of inputs and `scores` tiles of scores fit into the shared memory.
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

fn scale(shape: AttentionShape) -> f32 {
    1.0 / (shape.layout.head_dim as f32).sqrt()
}

pub fn forward(qkv: CubeTensor, positions: CubePositions, shape: AttentionShape) -> Attended {
    let qkv = into_contiguous(qkv);
    let rows = shape.batch * shape.seq;
    let output = uninitialized(&qkv, [rows, shape.layout.query_width()], qkv.dtype);
    let log_sums = uninitialized(&qkv, [rows, shape.layout.heads], burn::tensor::DType::F32);
    let client = qkv.client.clone();
    let tiling = tiling(shape, 2, 1, client.properties().hardware.max_shared_memory_size);
    let (count, units) = grid(shape, tiling, shape.layout.heads);
    let dtype = element_type(&qkv);
    attention_forward::launch(
        &client,
        count,
        units,
        qkv.into_tensor_arg(),
        into_contiguous(positions.cos).into_tensor_arg(),
        into_contiguous(positions.sin).into_tensor_arg(),
        into_contiguous(positions.starts).into_tensor_arg(),
        output.clone().into_tensor_arg(),
        log_sums.clone().into_tensor_arg(),
        shape.seq,
        scale(shape),
        tiling,
        dtype,
    );
    Attended { output, log_sums }
}

/// The gradient of `qkv`.
pub fn backward(
    qkv: CubeTensor,
    positions: CubePositions,
    attended: Attended,
    upstream: CubeTensor,
    shape: AttentionShape,
) -> CubeTensor {
    let (qkv, upstream) = (into_contiguous(qkv), into_contiguous(upstream));
    let Attended { output, log_sums } = attended;
    let (output, log_sums) = (into_contiguous(output), into_contiguous(log_sums));
    let [cos, sin, starts] = [positions.cos, positions.sin, positions.starts].map(into_contiguous);
    let gradient = uninitialized(&qkv, [shape.batch * shape.seq, shape.layout.width()], qkv.dtype);
    let projections = uninitialized(&qkv, [shape.batch * shape.seq, shape.layout.heads], burn::tensor::DType::F32);
    let client = qkv.client.clone();
    let dtype = element_type(&qkv);
    let available = client.properties().hardware.max_shared_memory_size;

    let queries = tiling(shape, 4, 1, available);
    let (count, units) = grid(shape, queries, shape.layout.heads);
    attention_backward_queries::launch(
        &client,
        count,
        units,
        qkv.clone().into_tensor_arg(),
        cos.clone().into_tensor_arg(),
        sin.clone().into_tensor_arg(),
        starts.clone().into_tensor_arg(),
        output.into_tensor_arg(),
        upstream.clone().into_tensor_arg(),
        log_sums.clone().into_tensor_arg(),
        gradient.clone().into_tensor_arg(),
        projections.clone().into_tensor_arg(),
        shape.seq,
        scale(shape),
        queries,
        dtype,
    );

    let keys = tiling(shape, 4, 2, available);
    let (count, units) = grid(shape, keys, shape.layout.kv_heads);
    attention_backward_keys::launch(
        &client,
        count,
        units,
        qkv.into_tensor_arg(),
        cos.into_tensor_arg(),
        sin.into_tensor_arg(),
        starts.into_tensor_arg(),
        upstream.into_tensor_arg(),
        log_sums.into_tensor_arg(),
        projections.into_tensor_arg(),
        gradient.clone().into_tensor_arg(),
        shape.seq,
        scale(shape),
        keys,
        dtype,
    );
    gradient
}
