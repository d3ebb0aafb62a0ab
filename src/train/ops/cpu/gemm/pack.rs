//! Operands in the order in which a tile reads them.
//!
//! A panel holds [`TILE_ROWS`] rows of the left operand or [`TILE_COLUMNS`] columns of the right one,
//! all of one inner index side by side. What a panel lacks at the edge of the matrix is zero.

use super::View;
use super::tile::{TILE_COLUMNS, TILE_ROWS};

/// Appends the panels of rows `rows` and inner indices `inner` of a left operand.
pub fn pack_left(out: &mut [f32], view: View<'_>, rows: std::ops::Range<usize>, inner: std::ops::Range<usize>) {
    pack::<TILE_ROWS>(out, view.transposed(), rows, inner);
}

/// Appends the panels of columns `columns` and inner indices `inner` of a right operand.
pub fn pack_right(out: &mut [f32], view: View<'_>, columns: std::ops::Range<usize>, inner: std::ops::Range<usize>) {
    pack::<TILE_COLUMNS>(out, view, columns, inner);
}

/// Panels of `P` columns of a view whose rows are the inner indices.
fn pack<const P: usize>(
    out: &mut [f32],
    view: View<'_>,
    columns: std::ops::Range<usize>,
    inner: std::ops::Range<usize>,
) {
    let panels = out.chunks_exact_mut(P * inner.len()).zip(columns.clone().step_by(P));
    for (panel, first) in panels {
        let panel = panel.as_chunks_mut::<P>().0;
        let width = P.min(columns.end - first);
        if view.has_contiguous_rows() {
            copy_rows::<P>(panel, view, inner.start, first, width);
        } else {
            transpose::<P>(panel, view.transposed(), inner.start, first, width);
        }
    }
}

/// Each row of the panel is a piece of a row of the view.
fn copy_rows<const P: usize>(panel: &mut [[f32; P]], view: View<'_>, inner: usize, first: usize, width: usize) {
    for (index, out) in panel.iter_mut().enumerate() {
        match <&[f32; P]>::try_from(view.row(inner + index, first, width)) {
            Ok(row) => *out = *row,
            Err(_) => {
                out[..width].copy_from_slice(view.row(inner + index, first, width));
                out[width..].fill(0.0);
            }
        }
    }
}

/// Each column of the panel is a piece of a row of the view.
fn transpose<const P: usize>(panel: &mut [[f32; P]], view: View<'_>, inner: usize, first: usize, width: usize) {
    let len = panel.len();
    let rows: [&[f32]; P] = std::array::from_fn(|i| if i < width { view.row(first + i, inner, len) } else { &[] });
    if width < P {
        panel.as_flattened_mut().fill(0.0);
        for (column, row) in rows[..width].iter().enumerate() {
            for (out, value) in panel.iter_mut().zip(*row) {
                out[column] = *value;
            }
        }
        return;
    }
    transpose_full::<P>(panel, &rows);
}

fn transpose_full<const P: usize>(panel: &mut [[f32; P]], rows: &[&[f32]; P]) {
    struct Call<'a, const P: usize>(&'a mut [[f32; P]], &'a [&'a [f32]; P]);
    impl<const P: usize> crate::train::ops::simd::Kernel for Call<'_, P> {
        type Output = ();
        #[inline(always)]
        fn run(self) {
            // Blocks of 4 x 4, which become shuffles of vector registers.
            let Call(panel, rows) = self;
            let len = panel.len();
            let (blocks, rest) = panel.as_chunks_mut::<4>();
            for (block, out) in blocks.iter_mut().enumerate() {
                for first in (0..P).step_by(4) {
                    let [a, b, c, d] = std::array::from_fn(|i| four(rows[first + i], 4 * block));
                    for k in 0..4 {
                        out[k][first..first + 4].copy_from_slice(&[a[k], b[k], c[k], d[k]]);
                    }
                }
            }
            let done = len - rest.len();
            for (k, out) in rest.iter_mut().enumerate() {
                for i in 0..P {
                    out[i] = rows[i][done + k];
                }
            }
        }
    }
    crate::train::ops::simd::dispatch(Call(panel, rows));
}

#[inline(always)]
fn four(row: &[f32], from: usize) -> [f32; 4] {
    row[from..from + 4].try_into().expect("a piece of four elements")
}
