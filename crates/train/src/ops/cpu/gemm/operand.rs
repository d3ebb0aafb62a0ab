//! Operands as a tile reads them: packed into panels, or in place.
//!
//! A panel holds [`TILE_ROWS`] rows of the left operand or [`TILE_COLUMNS`] columns of the right one, with all elements
//! of one inner index side by side. Padding at the edge of the matrix is zero. `microkernel/amx.rs` describes the operands
//! of tile registers.

use std::ops::Range;

use super::View;

/// Rows of a panel of the left operand; a tile covers all of them or half.
pub const TILE_ROWS: usize = 12;
/// Columns of a panel of the right operand: two of the widest vectors.
pub const TILE_COLUMNS: usize = 32;

/// Granularity of bf16 inner indices: whole pairs, and whole AMX tiles.
pub const TILE_INNER: usize = 32;

/// Bytes of a cache line, and of the widest vector.
pub const LINE: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Operand {
    Left,
    Right,
}

/// Left operand: rows by inner indices.
#[derive(Clone, Copy)]
pub struct Left<'a> {
    data: &'a [f32],
    rows: usize,
    inner: usize,
    /// Distance from an element to that of the next row, inner index and panel.
    next: usize,
    step: usize,
    panel: usize,
}

impl<'a> Left<'a> {
    pub fn of(view: View<'a>) -> Self {
        let (next, step) = view.strides();
        Left { data: view.data(), rows: view.rows(), inner: view.columns(), next, step, panel: next * TILE_ROWS }
    }

    /// # Panics
    /// If the panels are not complete.
    pub fn packed(data: &'a [f32], rows: usize, inner: usize) -> Self {
        assert_eq!(data.len(), panels_len(rows, TILE_ROWS, inner), "complete panels");
        Left { data, rows, inner, next: 1, step: TILE_ROWS, panel: TILE_ROWS * inner }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn inner(&self) -> usize {
        self.inner
    }

    /// First element of a row, the distance between its elements, and the distance to the next row of its panel.
    #[inline(always)]
    pub fn at(&self, row: usize) -> (*const f32, usize, usize) {
        let place = row / TILE_ROWS * self.panel + row % TILE_ROWS * self.next;
        (self.data.as_ptr().wrapping_add(place), self.step, self.next)
    }
}

/// Right operand: inner indices by columns.
#[derive(Clone, Copy)]
pub struct Right<'a> {
    data: &'a [f32],
    columns: usize,
    inner: usize,
    /// Distance from an element to that of the next inner index and panel.
    step: usize,
    panel: usize,
}

impl<'a> Right<'a> {
    /// Reads a matrix in place, if its rows consist of whole panels.
    pub fn of(view: View<'a>) -> Option<Self> {
        let whole = view.has_contiguous_rows() && view.columns().is_multiple_of(TILE_COLUMNS);
        let right = Right {
            data: view.data(),
            columns: view.columns(),
            inner: view.rows(),
            step: view.strides().0,
            panel: TILE_COLUMNS,
        };
        whole.then_some(right)
    }

    /// # Panics
    /// If the panels are not complete.
    pub fn packed(data: &'a [f32], columns: usize, inner: usize) -> Self {
        assert_eq!(data.len(), panels_len(columns, TILE_COLUMNS, inner), "complete panels");
        Right { data, columns, inner, step: TILE_COLUMNS, panel: TILE_COLUMNS * inner }
    }

    /// Part with inner indices `inner` and columns `columns`, which must start at a panel.
    ///
    /// # Panics
    /// If the operand is smaller, or a panel would be divided.
    pub fn part(self, inner: Range<usize>, columns: Range<usize>) -> Self {
        assert!(inner.start <= inner.end && inner.end <= self.inner, "inner indices of the operand");
        assert!(columns.start <= columns.end && columns.end <= self.columns, "columns of the operand");
        assert!(columns.start.is_multiple_of(TILE_COLUMNS), "whole panels before the part");
        let empty = inner.is_empty() || columns.is_empty();
        let first = if empty { 0 } else { columns.start / TILE_COLUMNS * self.panel + inner.start * self.step };
        Right { data: &self.data[first..], columns: columns.len(), inner: inner.len(), ..self }
    }

    pub fn columns(&self) -> usize {
        self.columns
    }

    pub fn inner(&self) -> usize {
        self.inner
    }

    /// True if no vector of the operand spans two cache lines.
    pub fn is_aligned(&self) -> bool {
        self.data.as_ptr().addr().is_multiple_of(LINE) && (self.step * size_of::<f32>()).is_multiple_of(LINE)
    }

    /// Distance from an element to that of the next inner index.
    pub fn step(&self) -> usize {
        self.step
    }

    #[inline(always)]
    pub fn at(&self, column: usize) -> *const f32 {
        self.data.as_ptr().wrapping_add(column / TILE_COLUMNS * self.panel + column % TILE_COLUMNS)
    }
}

/// Elements of the panels of `len` rows or columns.
pub fn panels_len(len: usize, tile: usize, inner: usize) -> usize {
    len.next_multiple_of(tile) * inner
}
