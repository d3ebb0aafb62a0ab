//! Launches of the cross-entropy kernel.

use burn::tensor::DType;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use super::buffers::{grid, owned, uninitialized};
use super::sums::column_sums;
use crate::ops::Objective;
use crate::ops::cube::kernels::cross_entropy::{UNITS, cross_entropy_rows};

/// Range of rows whose logits are processed together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogitRows {
    pub rows: usize,
    pub vocab: usize,
    /// Index of the first row among the targets.
    pub first: usize,
    pub objective: Objective,
}

/// Losses of the rows, `[rows, terms]` and not divided, and the logits: unchanged, or replaced by their gradient.
pub fn rows(logits: CubeTensor, targets: CubeTensor, part: LogitRows, with_gradient: bool) -> (CubeTensor, CubeTensor) {
    let logits = owned(logits);
    let LogitRows { rows, vocab, first, objective } = part;
    let losses = uninitialized(&logits, [rows, objective.terms()], DType::F32);
    let client = logits.client.clone();
    cross_entropy_rows::launch(
        &client,
        grid(rows),
        CubeDim::new_1d(UNITS as u32),
        logits.clone().into_tensor_arg(),
        into_contiguous(targets).into_tensor_arg(),
        losses.clone().into_tensor_arg(),
        rows,
        vocab,
        first,
        1.0 / objective.divisor,
        objective.z_loss,
        objective.has_z_loss(),
        with_gradient,
    );
    (losses, logits)
}

/// Sums of `[rows, terms]` over rows, times `factor`: `[terms]`.
pub fn total(losses: CubeTensor, factor: f32) -> CubeTensor {
    let terms = losses.meta.shape()[1];
    column_sums(into_contiguous(losses), [terms], factor)
}
