//! Read-only strided matrices.

/// A read-only strided matrix.
#[derive(Clone, Copy)]
pub struct View<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> View<'a> {
    /// A row-major matrix whose rows are `row_stride` elements apart.
    ///
    /// # Panics
    /// When the matrix reaches past the end of `data`.
    pub fn strided(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        let end = if rows == 0 { 0 } else { (rows - 1) * row_stride + columns };
        assert!(end <= data.len(), "a view within its data");
        View { data, rows, columns, row_stride, column_stride: 1 }
    }

    /// A row-major matrix without gaps.
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        View::strided(data, rows, columns, columns)
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The same elements with rows and columns exchanged.
    pub fn transposed(self) -> Self {
        View {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Whether neighbours of a row are neighbours in memory; otherwise those of a column are.
    pub fn has_contiguous_rows(&self) -> bool {
        self.column_stride == 1
    }

    /// Elements `from..from + len` of a row, which must be contiguous.
    pub fn row(&self, row: usize, from: usize, len: usize) -> &'a [f32] {
        debug_assert!(self.has_contiguous_rows());
        &self.data[row * self.row_stride + from..][..len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "a view within its data")]
    fn a_view_past_its_data_is_refused() {
        View::strided(&[0.0; 10], 2, 4, 7);
    }
}
