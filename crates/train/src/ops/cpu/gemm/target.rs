//! Position of an output matrix whose parts several threads write.

#![expect(unsafe_code, reason = "threads write different parts of one matrix")]

/// Handling of the output's current values.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Output {
    Overwrite,
    Add,
}

/// Position of a row-major output matrix, possibly inside a wider one.
#[derive(Clone, Copy)]
pub struct Target {
    pointer: *mut f32,
    row_stride: usize,
}

// SAFETY: a target is only an address. Code that writes through it promises that nothing else uses those elements
// meanwhile.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

impl Target {
    /// Start of `out`, whose rows are `row_stride` elements apart.
    pub fn new(out: &mut [f32], row_stride: usize) -> Self {
        Target { pointer: out.as_mut_ptr(), row_stride }
    }

    /// Matrix at an address, whose rows are `row_stride` elements apart.
    #[cfg(target_arch = "x86_64")]
    pub fn of(pointer: *mut f32, row_stride: usize) -> Self {
        Target { pointer, row_stride }
    }

    /// Start of the spare capacity of a vector that is still empty; rows are `row_stride` elements apart.
    pub fn spare(out: &mut Vec<f32>, row_stride: usize) -> Self {
        Target { pointer: out.spare_capacity_mut().as_mut_ptr().cast(), row_stride }
    }

    pub fn source(self) -> Source {
        Source { pointer: self.pointer, row_stride: self.row_stride }
    }

    pub fn offset(self, row: usize, column: usize) -> Self {
        Target { pointer: self.pointer.wrapping_add(row * self.row_stride + column), ..self }
    }

    pub fn at(self, row: usize, column: usize) -> *mut f32 {
        self.offset(row, column).pointer
    }
}

/// Position of a row-major matrix that is read while other elements, or other matrices, are written.
#[derive(Clone, Copy)]
pub struct Source {
    pointer: *const f32,
    row_stride: usize,
}

// SAFETY: a source is only an address. Code that reads through it promises that nothing writes those elements.
unsafe impl Send for Source {}
// SAFETY: as above.
unsafe impl Sync for Source {}

impl Source {
    /// Start of `values`, whose rows are `row_stride` elements apart.
    pub fn new(values: &[f32], row_stride: usize) -> Self {
        Source { pointer: values.as_ptr(), row_stride }
    }

    pub fn offset(self, row: usize, column: usize) -> Self {
        Source { pointer: self.pointer.wrapping_add(row * self.row_stride + column), ..self }
    }

    #[cfg(target_arch = "x86_64")]
    pub fn row_bytes(self) -> usize {
        self.row_stride * size_of::<f32>()
    }

    pub fn at(self, row: usize, column: usize) -> *const f32 {
        self.offset(row, column).pointer
    }
}
