//! Matrices of activations: one row per token.

use crate::cpu::LANES;

/// One cache line, the size of the widest vector.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub struct Line(#[expect(dead_code, reason = "read as slices of f32")] [f32; LANES]);

impl Line {
    pub const ZERO: Line = Line([0.0; LANES]);
}

/// Rows of f32, each starting at a cache line.
#[derive(Default)]
pub struct Activations {
    lines: Vec<Line>,
    width: usize,
    /// Lines from a row to the next.
    step: usize,
    rows: usize,
}

impl Activations {
    /// Makes room for `rows` rows of `width` elements, of which whole panels can be written. Old contents are kept or
    /// not.
    pub fn reshape(&mut self, rows: usize, width: usize) {
        // An odd number of lines: rows whose distance is a power of two would share few sets of the cache.
        self.step = (width.next_multiple_of(super::matrix::PANEL) / LANES) | 1;
        (self.rows, self.width) = (rows, width);
        let lines = rows * self.step;
        if self.lines.len() < lines {
            self.lines.resize(lines, Line::ZERO);
        }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// Elements from a row to the next.
    pub fn stride(&self) -> usize {
        self.step * LANES
    }

    pub fn as_ptr(&self) -> *const f32 {
        self.lines.as_ptr().cast()
    }

    pub fn as_mut_ptr(&mut self) -> *mut f32 {
        self.lines.as_mut_ptr().cast()
    }

    pub fn row(&self, row: usize) -> &[f32] {
        &flat(&self.lines[row * self.step..][..self.step])[..self.width]
    }

    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        &mut flat_mut(&mut self.lines[row * self.step..][..self.step])[..self.width]
    }

    /// All rows, one after the other.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[f32]> + Send {
        self.lines.chunks_exact(self.step).take(self.rows).map(|lines| &flat(lines)[..self.width])
    }

    /// All rows, one after the other.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = &mut [f32]> + Send {
        let width = self.width;
        self.lines.chunks_exact_mut(self.step).take(self.rows).map(move |lines| &mut flat_mut(lines)[..width])
    }
}

#[expect(unsafe_code, reason = "an array of lines is an array of their elements")]
pub fn flat(lines: &[Line]) -> &[f32] {
    // SAFETY: a line is an array of f32 without padding.
    unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), lines.len() * LANES) }
}

#[expect(unsafe_code, reason = "an array of lines is an array of their elements")]
pub fn flat_mut(lines: &mut [Line]) -> &mut [f32] {
    // SAFETY: a line is an array of f32 without padding.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), lines.len() * LANES) }
}
