//! Matrix products over strided views, on one thread or split into tiles.

use rayon::prelude::*;

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

    fn at(&self, row: usize, column: usize) -> *const f32 {
        self.data.as_ptr().wrapping_add(row * self.row_stride + column * self.column_stride)
    }
}

/// What happens to the values that the output holds already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Output {
    Overwrite,
    Add,
}

/// The place of a row-major output matrix, possibly inside a wider one.
#[derive(Clone, Copy)]
pub struct Target {
    pointer: *mut f32,
    row_stride: usize,
}

// SAFETY: a target is only an address. Whoever writes through it, in `product`, promises that no one
// else uses those elements meanwhile.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

impl Target {
    /// The start of `out`, whose rows are `row_stride` elements apart.
    pub fn new(out: &mut [f32], row_stride: usize) -> Self {
        Target { pointer: out.as_mut_ptr(), row_stride }
    }

    /// The place `row` rows down and `column` columns right.
    pub fn offset(self, row: usize, column: usize) -> Self {
        Target { pointer: self.pointer.wrapping_add(row * self.row_stride + column), ..self }
    }

    /// Address of an element.
    pub fn at(self, row: usize, column: usize) -> *mut f32 {
        self.offset(row, column).pointer
    }
}

/// `out = scale * a b` or `out += scale * a b`, on this thread.
///
/// # Safety
/// The `a.rows` x `b.columns` elements of `out` are valid for writes, initialised when
/// [`Output::Add`], and no other thread or reference uses them during the call.
unsafe fn product_at(out: Target, a: View<'_>, b: View<'_>, scale: f32, output: Output) {
    // SAFETY: views lie within their data by construction, and the caller vouches for the output.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            out.pointer,
            1,
            out.row_stride as isize,
            output == Output::Add,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// [`product`] into a part of a matrix that other threads write other parts of.
///
/// # Safety
/// As for any shared output: no two threads use the same elements, and all lie within one allocation.
///
/// # Panics
/// When the inner dimensions differ.
pub unsafe fn product_into(out: Target, a: View<'_>, b: View<'_>, scale: f32, output: Output) {
    assert_eq!(a.columns, b.rows, "inner dimensions");
    // SAFETY: the caller's promise.
    unsafe { product_at(out, a, b, scale, output) }
}

/// `out = scale * a b` or `out += scale * a b` on this thread; `out` is row-major without gaps.
///
/// # Panics
/// When the shapes do not fit.
pub fn product(out: &mut [f32], a: View<'_>, b: View<'_>, scale: f32, output: Output) {
    assert_eq!(a.columns, b.rows, "inner dimensions");
    assert_eq!(out.len(), a.rows * b.columns, "the output has one element per row and column");
    let target = Target::new(out, b.columns);
    // SAFETY: `out` is borrowed exclusively and has exactly the elements of the product.
    unsafe { product_at(target, a, b, scale, output) }
}

/// `a b`, in tiles on all threads, row-major.
///
/// The tiles depend on the shape alone. The product of one tile is computed by one thread, over all
/// of the inner dimension, so neither the number of threads nor their order changes a bit.
///
/// # Panics
/// When the inner dimensions differ.
pub fn parallel_product(a: View<'_>, b: View<'_>) -> Vec<f32> {
    let len = a.rows * b.columns;
    let mut out = Vec::with_capacity(len);
    let target = Target { pointer: out.as_mut_ptr(), row_stride: b.columns };
    // SAFETY: the allocation has room for the product and is ours alone. Overwriting does not read
    // it, and the tiles cover all of it, so that afterwards its elements are initialised.
    unsafe {
        product_in_tiles(target, a, b, Output::Overwrite);
        out.set_len(len);
    }
    out
}

/// As [`parallel_product`], into memory that exists: `out = a b` or `out += a b`.
///
/// # Panics
/// When the shapes do not fit.
pub fn parallel_product_into(out: &mut [f32], a: View<'_>, b: View<'_>, output: Output) {
    assert_eq!(out.len(), a.rows * b.columns, "the output has one element per row and column");
    let target = Target::new(out, b.columns);
    // SAFETY: `out` is borrowed exclusively and has exactly the elements of the product.
    unsafe { product_in_tiles(target, a, b, output) }
}

/// # Safety
/// As for [`product_at`].
unsafe fn product_in_tiles(target: Target, a: View<'_>, b: View<'_>, output: Output) {
    assert_eq!(a.columns, b.rows, "inner dimensions");
    let (height, width) = tile_shape(a.rows, b.columns);
    let across = b.columns.div_ceil(width);
    let tiles = a.rows.div_ceil(height) * across;
    (0..tiles).into_par_iter().for_each(|tile| {
        let (row, column) = (tile / across * height, tile % across * width);
        let rows = height.min(a.rows - row);
        let columns = width.min(b.columns - column);
        let a = View { data: tail(a, row, 0), rows, ..a };
        let b = View { data: tail(b, 0, column), columns, ..b };
        // SAFETY: tiles lie within the output, which the caller vouches for, and do not overlap.
        unsafe { product_at(target.offset(row, column), a, b, 1.0, output) }
    });
}

fn tail<'a>(view: View<'a>, row: usize, column: usize) -> &'a [f32] {
    let offset = view.at(row, column).addr() - view.data.as_ptr().addr();
    &view.data[offset / size_of::<f32>()..]
}

/// Large tiles pack their operands less often, small ones keep more threads busy. Widths are
/// multiples of the gemm kernels' 48 columns.
fn tile_shape(rows: usize, columns: usize) -> (usize, usize) {
    const SHAPES: [(usize, usize); 3] = [(256, 384), (128, 192), (64, 96)];
    const ENOUGH: usize = 8;
    let tiles = |(height, width): (usize, usize)| rows.div_ceil(height) * columns.div_ceil(width);
    SHAPES.into_iter().find(|shape| tiles(*shape) >= ENOUGH).unwrap_or(SHAPES[2])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::rng::Rng;

    fn normal(len: usize, seed: u64) -> Vec<f32> {
        let mut rng = Rng::new(seed);
        (0..len).map(|_| rng.normal() as f32).collect()
    }

    fn naive(a: &[f32], b: &[f32], rows: usize, inner: usize, columns: usize) -> Vec<f64> {
        let mut out = vec![0.0; rows * columns];
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
            let terms = (0..inner).map(|k| f64::from(a[row * inner + k]) * f64::from(b[k * columns + column]));
            out[row * columns + column] = terms.sum();
        }
        out
    }

    fn assert_close(found: &[f32], expected: &[f64]) {
        for (x, y) in found.iter().zip(expected) {
            assert!((f64::from(*x) - y).abs() < 1e-5 * y.abs().max(10.0), "{x} is not {y}");
        }
    }

    #[test]
    fn tiled_products_are_right_for_odd_shapes() {
        // The gemm library has other paths for one row, one column, and an inner dimension below 3.
        let shapes = [(1, 7, 5), (300, 33, 401), (65, 1030, 97), (64, 3, 1), (5, 1, 4), (70, 2, 300), (1, 1, 1)];
        for (rows, inner, columns) in shapes {
            let (a, b) = (normal(rows * inner, 1), normal(inner * columns, 2));
            let expected = naive(&a, &b, rows, inner, columns);
            let (a, b) = (View::new(&a, rows, inner), View::new(&b, inner, columns));
            assert_close(&parallel_product(a, b), &expected);
            let mut out = vec![f32::NAN; rows * columns];
            parallel_product_into(&mut out, a, b, Output::Overwrite);
            assert_close(&out, &expected);
            parallel_product_into(&mut out, a, b, Output::Add);
            assert_close(&out, &expected.iter().map(|x| 2.0 * x).collect::<Vec<_>>());
        }
    }

    #[test]
    fn transposed_and_strided_views_read_the_right_elements() {
        let (a, b) = (normal(6 * 9, 1), normal(5 * 6, 2));
        let mut out = vec![0.0; 4 * 5];
        // Columns 2..6 of the 6 x 9 matrix, transposed, times the transpose of the 5 x 6 matrix.
        let left = View::strided(&a[2..], 6, 4, 9).transposed();
        product(&mut out, left, View::new(&b, 5, 6).transposed(), 0.5, Output::Overwrite);
        for (i, j) in (0..4).flat_map(|i| (0..5).map(move |j| (i, j))) {
            let expected: f32 = (0..6).map(|k| a[k * 9 + 2 + i] * b[j * 6 + k]).sum::<f32>() * 0.5;
            assert!((out[i * 5 + j] - expected).abs() < 1e-5);
        }
    }

    #[test]
    #[should_panic(expected = "a view within its data")]
    fn a_view_past_its_data_is_refused() {
        View::strided(&[0.0; 10], 2, 4, 7);
    }
}
