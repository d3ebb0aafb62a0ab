//! Launches of the embedding's gradient kernel.

use burn::backend::cubecl::dtype_to_storage_type;
use burn::tensor::DType;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::buffers::{grid, uninitialized};
use crate::ops::cube::kernels::embedding::{UNITS, embedding_backward};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbeddingShape {
    pub tokens: usize,
    pub vocab: usize,
    pub width: usize,
}

/// Gradient of the weight, `[vocab, width]`.
pub fn backward(ids: CubeTensor, upstream: CubeTensor, shape: EmbeddingShape) -> CubeTensor {
    let (ids, upstream) = (into_contiguous(ids), into_contiguous(upstream));
    let gradient = uninitialized(&upstream, [shape.vocab, shape.width], DType::F32);
    let (client, dtype) = (upstream.client.clone(), dtype_to_storage_type(ids.dtype));
    embedding_backward::launch(
        &client,
        grid(shape.vocab),
        CubeDim::new_1d(UNITS as u32),
        ids.into_tensor_arg(),
        upstream.into_tensor_arg(),
        gradient.clone().into_tensor_arg(),
        shape.tokens,
        shape.width,
        shape.vocab,
        dtype,
    );
    gradient
}
