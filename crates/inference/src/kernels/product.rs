//! Activations times weights, on all threads.

#![expect(unsafe_code, reason = "threads write different columns of one matrix")]

use super::bytes::ByteStrip;
use super::dtype::{BLOCK, Dtype};
use super::matrix::{Matrix, PANEL};
use super::quantised::Quantised;
use super::rows::Activations;
use super::tile::{Start, Strip};
use super::workers::Workers;

/// Bytes of weights that one task reads: they stay in the L2 cache while all rows pass.
const TASK_BYTES: usize = 256 * 1024;
/// Rows that pass before the next panel of a task: their activations stay in the L2 cache, too.
const ROW_BLOCK: usize = 96;

/// An address that threads may write to, each at its own places.
#[derive(Clone, Copy)]
pub(super) struct Shared(pub *mut f32);

// SAFETY: only an address. Code that writes through it states why nothing else uses those elements.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// The address; a method, so that closures capture the whole value.
    pub fn address(self) -> *mut f32 {
        self.0
    }
}

/// Input of a product: rows of f32, and the same as bytes if the weights are q8_0.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    pub values: &'a Activations,
    pub bytes: &'a Quantised,
}

/// `out = input * matrix^T`: one column per output of the matrix.
///
/// # Panics
/// If the input's width is not that of the matrix, or its bytes are missing.
pub fn product(workers: &Workers, out: &mut Activations, input: Input<'_>, matrix: &Matrix) {
    let rows = input.values.rows();
    assert_eq!(input.values.width(), matrix.inputs(), "inputs");
    if matrix.dtype() == Dtype::Q8_0 {
        assert!(input.bytes.rows() == rows && input.bytes.blocks() == matrix.inputs().div_ceil(BLOCK), "bytes");
    }
    out.reshape(rows, matrix.outputs());
    let (stride, panels) = (out.stride(), matrix.panels());
    let out = Shared(out.as_mut_ptr());
    let left_stride = input.values.stride();
    let share = panels.div_ceil(4 * workers.team().threads());
    let group = (TASK_BYTES / matrix.panel_bytes().max(1)).clamp(1, share.max(1));
    workers.team().each((0..panels).step_by(group), |first| {
        let end = panels.min(first + group);
        for row in (0..rows).step_by(ROW_BLOCK) {
            let height = (rows - row).min(ROW_BLOCK);
            for panel in first..end {
                // After this task, the thread probably takes the one that follows those of the other threads.
                let next = if panel + 1 < end { panel + 1 } else { first + group * workers.team().threads() };
                let ahead = (next < panels && rows <= ROW_BLOCK).then(|| matrix.panel(next));
                let out = out.address().wrapping_add(row * stride + panel * PANEL);
                // SAFETY: `out` has room for `rows` rows of whole panels, and only this task writes these columns. The
                // input has `rows` rows of the matrix's inputs, in values and in bytes.
                unsafe {
                    match matrix.dtype() {
                        Dtype::Q8_0 => ByteStrip {
                            out,
                            out_stride: stride,
                            left: input.bytes.rows_from(row),
                            rows: height,
                            panel: matrix.panel(panel),
                            blocks: input.bytes.blocks(),
                            ahead,
                        }
                        .multiply(workers.instructions()),
                        dtype => {
                            let strip = Strip {
                                out,
                                out_stride: stride,
                                left: input.values.as_ptr().wrapping_add(row * left_stride),
                                left_stride,
                                rows: height,
                                panel: matrix.panel(panel),
                                inner: matrix.inputs(),
                                start: Start::Zero,
                                ahead,
                            };
                            match dtype {
                                Dtype::F32 => strip.multiply(workers.instructions()),
                                _ => strip.multiply_bf16(workers.instructions()),
                            }
                        }
                    }
                }
            }
        }
    });
}
