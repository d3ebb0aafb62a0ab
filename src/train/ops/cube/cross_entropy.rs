//! Launches of cross-entropy.

use burn::tensor::DType;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::buffers::{grid, owned, uninitialized};
use super::kernels::cross_entropy::{UNITS, cross_entropy_rows};
use super::sums::column_sums;

/// Some rows of logits, and what becomes of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogitRows {
    pub rows: usize,
    pub vocab: usize,
    /// The place of the first row among the targets.
    pub first: usize,
    /// Multiplies the gradient.
    pub factor: f32,
}

/// Losses of rows, and the logits, which are left as they are or turned into their gradient.
pub fn rows(logits: CubeTensor, targets: CubeTensor, part: LogitRows, with_gradient: bool) -> (CubeTensor, CubeTensor) {
    let logits = owned(logits);
    let losses = uninitialized(&logits, [part.rows], DType::F32);
    let client = logits.client.clone();
    cross_entropy_rows::launch(
        &client,
        grid(part.rows),
        CubeDim::new_1d(UNITS as u32),
        logits.clone().into_tensor_arg(),
        into_contiguous(targets).into_tensor_arg(),
        losses.clone().into_tensor_arg(),
        part.rows,
        part.vocab,
        part.first,
        part.factor,
        with_gradient,
    );
    (losses, logits)
}

/// The sum of losses times `factor`: `[1]`.
pub fn total(losses: CubeTensor, factor: f32) -> CubeTensor {
    column_sums(into_contiguous(losses), [1], factor)
}
