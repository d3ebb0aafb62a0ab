//! Copies of operands in panels; see [`super::operand`].

#![expect(unsafe_code, reason = "transposes with vector instructions")]

use std::ops::Range;

use super::View;
use super::form::Form;
#[cfg(target_arch = "x86_64")]
use super::microkernel::vector::{Avx2, Avx512};
use super::microkernel::vector::{Base, Vector};
use super::operand::{LINE, Right, TILE_COLUMNS, TILE_INNER, TILE_ROWS};
use crate::cpu::isa::Set;
use crate::cpu::simd::{Instructions, Kernel};

/// Packs a left operand into panels.
///
/// # Panics
/// If `out` does not have the length of the panels.
pub fn pack_left(out: &mut [f32], view: View<'_>) {
    pack::<TILE_ROWS>(Instructions::best(), out, view.transposed());
}

/// Packs a right operand into panels.
///
/// # Panics
/// If `out` does not have the length of the panels.
pub fn pack_right(out: &mut [f32], view: View<'_>) {
    pack::<TILE_COLUMNS>(Instructions::best(), out, view);
}

/// Right operand that is packed once for several products.
pub struct Packed {
    form: Form,
    panels: Vec<f32>,
    skipped: usize,
    len: usize,
    columns: usize,
    /// Elements of the copy per column.
    depth: usize,
}

impl Default for Packed {
    fn default() -> Self {
        Packed { form: Form::Plain, panels: Vec::new(), skipped: 0, len: 0, columns: 0, depth: 0 }
    }
}

impl Packed {
    pub fn pack(&mut self, form: Form, view: View<'_>) {
        (self.form, self.columns, self.depth) = (form, view.columns(), form.depth(view.rows()));
        self.len = form.right_len(self.columns, view.rows());
        form.copy_right(aligned(&mut self.panels, self.len), view);
        self.skipped = self.panels.as_ptr().align_offset(LINE);
    }

    pub fn operand(&self) -> Right<'_> {
        Right::packed(&self.panels[self.skipped..][..self.len], self.columns, self.depth)
    }

    /// Part with inner indices `inner` and columns `columns`, which must start at a panel. In bf16 forms, inner indices
    /// must start at a tile; if they end inside one, the part includes the rest of that tile.
    ///
    /// # Panics
    /// If the operand is smaller, or the part does not start at a panel and a tile.
    pub fn part(&self, inner: Range<usize>, columns: Range<usize>) -> Right<'_> {
        let whole = self.form == Form::Plain || inner.start.is_multiple_of(TILE_INNER);
        assert!(whole, "whole tiles before the part");
        self.operand().part(self.form.depth(inner.start)..self.form.depth(inner.end), columns)
    }
}

/// `len` elements that start at a cache line: a vector that spans two lines costs two reads.
pub fn aligned(memory: &mut Vec<f32>, len: usize) -> &mut [f32] {
    let padded = len + LINE / size_of::<f32>();
    if memory.len() < padded {
        memory.resize(padded, 0.0);
    }
    let skipped = memory.as_ptr().align_offset(LINE);
    &mut memory[skipped..skipped + len]
}

/// Packs a view, whose rows are the inner indices, into panels of `P` columns.
pub(super) fn pack<const P: usize>(instructions: Instructions, out: &mut [f32], view: View<'_>) {
    let (inner, columns) = (view.rows(), view.columns());
    assert_eq!(out.len(), columns.next_multiple_of(P) * inner, "complete panels");
    if out.is_empty() {
        return;
    }
    if view.has_contiguous_rows() {
        return instructions.run(CopyRows::<P> { out, view });
    }
    for (panel, first) in out.chunks_exact_mut(P * inner).zip((0..columns).step_by(P)) {
        let part = view.part(0..inner, first..columns.min(first + P));
        transpose::<P>(instructions, panel.as_chunks_mut::<P>().0, part.transposed());
    }
}

/// Panels filled side by side. More would share sets of the L1 cache, which would write lines back half full.
const AT_ONCE: usize = 8;

/// Packs contiguous rows: each row of a panel is a piece of a row of the view.
struct CopyRows<'a, const P: usize> {
    out: &'a mut [f32],
    view: View<'a>,
}

impl<const P: usize> Kernel for CopyRows<'_, P> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let CopyRows { out, view } = self;
        let (inner, columns) = (view.rows(), view.columns());
        let whole = columns / P;
        let (panels, last) = out.as_chunks_mut::<P>().0.split_at_mut(whole * inner);
        for (group, panels) in panels.chunks_mut(AT_ONCE * inner).enumerate() {
            let count = panels.len() / inner;
            for index in 0..inner {
                let row = view.row(index, group * AT_ONCE * P, count * P);
                for (panel, piece) in row.as_chunks::<P>().0.iter().enumerate() {
                    panels[panel * inner + index] = *piece;
                }
            }
        }
        for (index, piece) in last.iter_mut().enumerate() {
            let rest = view.row(index, whole * P, columns - whole * P);
            piece[..rest.len()].copy_from_slice(rest);
            piece[rest.len()..].fill(0.0);
        }
    }
}

/// Packs contiguous columns: each column of the panel is a row of the view.
fn transpose<const P: usize>(instructions: Instructions, panel: &mut [[f32; P]], rows: View<'_>) {
    if rows.rows() < P {
        panel.as_flattened_mut().fill(0.0);
    }
    let call = (panel, rows);
    match instructions.set() {
        #[cfg(target_arch = "x86_64")]
        Set::Avx512 | Set::Avx512Bf16 | Set::Amx => instructions.run(Transpose::<Avx512, P>::of(call)),
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 => instructions.run(Transpose::<Avx2, P>::of(call)),
        Set::Base => instructions.run(Transpose::<Base, P>::of(call)),
    }
}

struct Transpose<'a, V, const P: usize> {
    panel: &'a mut [[f32; P]],
    rows: View<'a>,
    vector: std::marker::PhantomData<V>,
}

impl<'a, V: Vector, const P: usize> Transpose<'a, V, P> {
    fn of((panel, rows): (&'a mut [[f32; P]], View<'a>)) -> Self {
        Transpose { panel, rows, vector: std::marker::PhantomData }
    }
}

impl<V: Vector, const P: usize> Kernel for Transpose<'_, V, P> {
    type Output = ();

    /// Blocks of one vector of rows by four columns, then of four rows by four columns; single elements at the edges.
    #[inline(always)]
    fn run(self) {
        let Transpose { panel, rows, .. } = self;
        let (height, width) = (rows.rows(), panel.len());
        assert!(height <= P && rows.columns() == width, "a panel has room for the rows");
        let wide = height / V::LANES * V::LANES;
        let whole = height / Base::LANES * Base::LANES;
        for row in (0..wide).step_by(V::LANES) {
            // SAFETY: this type is constructed only for instructions that the machine has.
            unsafe { transpose_rows::<V, P>(panel, rows, row) }
        }
        for row in (wide..whole).step_by(Base::LANES) {
            // SAFETY: `Base` needs no special instructions.
            unsafe { transpose_rows::<Base, P>(panel, rows, row) }
        }
        for row in 0..height {
            let from = if row < whole { width / 4 * 4 } else { 0 };
            for (out, value) in panel[from..].iter_mut().zip(rows.row(row, from, width - from)) {
                out[row] = *value;
            }
        }
    }
}

/// Transposes as many rows as a vector has lanes, from `row` on, except the columns after the last group of four.
///
/// # Safety
/// This must be compiled for the instructions of `V`.
#[inline(always)]
unsafe fn transpose_rows<V: Vector, const P: usize>(panel: &mut [[f32; P]], rows: View<'_>, row: usize) {
    let part = rows.part(row..row + V::LANES, 0..panel.len());
    let from = part.data().as_ptr();
    for (block, to) in panel.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        let to = to.as_flattened_mut()[row..].as_mut_ptr();
        // SAFETY: the caller's promise; columns `4 * block` to `4 * block + 3` are inside the part. `to` starts in the
        // first of four rows that have `P - row` elements left, at least as many as there are lanes.
        unsafe { V::transpose(from.add(4 * block), part.strides().0, to, P) }
    }
}
