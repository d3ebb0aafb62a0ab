use super::tile::{Panels, TILE_COLUMNS, TILE_ROWS, multiply_narrow};
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

fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect()
}

fn assert_close(found: &[f32], expected: &[f64]) {
    for (x, y) in found.iter().zip(expected) {
        assert!((f64::from(*x) - y).abs() < 2e-5 * y.abs().max(20.0), "{x} is not {y}");
    }
}

/// Shapes that fill no panel, one row, one column, several inner blocks, and more than one group of them.
const SHAPES: [(usize, usize, usize); 10] = [
    (1, 7, 5),
    (300, 33, 401),
    (65, 1030, 97),
    (64, 3, 1),
    (5, 1, 4),
    (70, 2, 300),
    (1, 1, 1),
    (12, 385, 32),
    (29, 3000, 400),
    (400, 3000, 29),
];

#[test]
fn parallel_products_are_right_for_odd_shapes_however_the_operands_lie() {
    for (rows, inner, columns) in SHAPES {
        let (a, b) = (normal(rows * inner, 1), normal(inner * columns, 2));
        let (across, down) = (transposed(&a, rows, inner), transposed(&b, inner, columns));
        let expected = naive(&a, &b, rows, inner, columns);
        let (a, b) = (View::new(&a, rows, inner), View::new(&b, inner, columns));
        let out = parallel_product(a, b);
        assert_close(&out, &expected);
        let (across, down) =
            (View::new(&across, inner, rows).transposed(), View::new(&down, columns, inner).transposed());
        assert_eq!(parallel_product(across, down), out);

        let mut twice = vec![f32::NAN; rows * columns];
        parallel_product_into(&mut twice, a, b, Output::Overwrite);
        assert_eq!(twice, out);
        parallel_product_into(&mut twice, a, b, Output::Add);
        assert_close(&twice, &expected.iter().map(|x| 2.0 * x).collect::<Vec<_>>());
        assert_eq!(parallel_product_onto(&out, a, b), twice);
    }
}

/// The contract that lets the number of tasks follow the number of threads.
#[test]
fn neither_threads_nor_pieces_change_a_bit() {
    for (rows, inner, columns) in SHAPES {
        let (a, b) = (normal(rows * inner, 1), normal(inner * columns, 2));
        let (a, b) = (View::new(&a, rows, inner), View::new(&b, inner, columns));
        let mut one = vec![0.0; rows * columns];
        product(&mut one, a, b, 1.0, Output::Overwrite);
        for threads in [1, 2, 3, 7] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            assert_eq!(pool.install(|| parallel_product(a, b)), one, "{threads} threads");
        }
    }
}

#[test]
fn narrow_vectors_give_the_bits_of_wide_ones() {
    let (rows, inner, columns) = (31usize, 50, 77usize);
    let (left, right) = (
        normal(rows.next_multiple_of(TILE_ROWS) * inner, 1),
        normal(columns.next_multiple_of(TILE_COLUMNS) * inner, 2),
    );
    let panels = Panels { left: &left, right: &right, inner, rows, columns };
    let [mut wide, mut narrow] = [vec![1.0; rows * columns], vec![1.0; rows * columns]];
    for output in [Output::Add, Output::Overwrite] {
        // SAFETY: both are borrowed exclusively and have the elements of the product.
        unsafe {
            super::tile::multiply(Target::new(&mut wide, columns), panels, 0.5, output);
            multiply_narrow(Target::new(&mut narrow, columns), panels, 0.5, output);
        }
        assert_eq!(wide, narrow);
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
