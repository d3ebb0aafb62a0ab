//! Read-only strided matrices.

use std::ops::Range;

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
    /// If the matrix reaches past the end of `data`.
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

    pub fn transposed(self) -> Self {
        View {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Part with rows `rows` and columns `columns`.
    ///
    /// # Panics
    /// If the matrix is smaller.
    pub fn part(self, rows: Range<usize>, columns: Range<usize>) -> Self {
        assert!(rows.start <= rows.end && rows.end <= self.rows, "rows of the matrix");
        assert!(columns.start <= columns.end && columns.end <= self.columns, "columns of the matrix");
        let empty = rows.is_empty() || columns.is_empty();
        let first = if empty { 0 } else { rows.start * self.row_stride + columns.start * self.column_stride };
        View { data: &self.data[first..], rows: rows.len(), columns: columns.len(), ..self }
    }

    /// Elements from the first one of the matrix on.
    pub fn data(&self) -> &'a [f32] {
        self.data
    }

    /// Distance from an element to that of the next row and of the next column.
    pub fn strides(&self) -> (usize, usize) {
        (self.row_stride, self.column_stride)
    }

    /// True if the elements of a row are adjacent in memory; otherwise those of a column are.
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

    #[test]
    fn a_part_has_the_elements_of_its_place() {
        let values: Vec<f32> = (0..30).map(|x| x as f32).collect();
        let part = View::strided(&values, 5, 4, 6).part(2..4, 1..3);
        assert_eq!([part.row(0, 0, 2), part.row(1, 0, 2)], [&[13.0, 14.0], &[19.0, 20.0]]);
        assert_eq!(
            View::strided(&values, 5, 4, 6).transposed().part(1..3, 2..4).transposed().row(1, 0, 2),
            [19.0, 20.0]
        );
        assert_eq!(View::new(&values, 5, 6).part(5..5, 6..6).data().len(), 30);
    }

    #[test]
    #[should_panic(expected = "columns of the matrix")]
    fn a_part_outside_is_refused() {
        View::strided(&[0.0; 20], 2, 4, 7).part(0..2, 3..5);
    }
}
