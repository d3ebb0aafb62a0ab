#![expect(unsafe_code, reason = "calls the tile directly")]

use super::form::Form;
use super::microkernel::tile::{Product, multiply};
use super::operand::{Left, Right, TILE_COLUMNS, TILE_ROWS};
use super::pack::{pack, pack_left, pack_right};
use super::target::Source;
use super::*;
use crate::cpu::simd::Instructions;
use crate::cpu::thread_team::with_threads;
use crate::precision::Precision;
use stepwell_base::rng::Rng;

fn parallel_product(a: View<'_>, b: View<'_>) -> Vec<f32> {
    matmul(a, b, Precision::F32)
}

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

/// Shapes that fill no panel, with one row, one column, several inner blocks, and more than one group of blocks.
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

        let mut twice = out.clone();
        matmul_add(&mut twice, a, b, Precision::F32);
        assert_close(&twice, &expected.iter().map(|x| 2.0 * x).collect::<Vec<_>>());
        assert_eq!(matmul_onto(&out, a, b, Precision::F32), twice);
    }
}

/// Because of this, the number of tasks may follow the number of threads.
#[test]
fn neither_threads_nor_pieces_change_a_bit() {
    for (rows, inner, columns) in SHAPES {
        let (a, b) = (normal(rows * inner, 1), normal(inner * columns, 2));
        let (a, b) = (View::new(&a, rows, inner), View::new(&b, inner, columns));
        let mut one = vec![0.0; rows * columns];
        product(Form::Plain, &mut one, a, b, 1.0, Output::Overwrite);
        for threads in [1, 2, 3, 7] {
            assert_eq!(with_threads(threads, || parallel_product(a, b)), one, "{threads} threads");
        }
    }
}

/// Computes a product from packed panels or from operands in place.
fn tiles(instructions: Instructions, left: Left<'_>, right: Right<'_>, onto: Option<&[f32]>) -> Vec<f32> {
    let mut out = vec![f32::NAN; left.rows() * right.columns()];
    let target = Target::new(&mut out, right.columns());
    let onto = onto.map(|values| Source::new(values, right.columns()));
    // SAFETY: `out` is borrowed exclusively; it and `onto` have the elements of the product.
    unsafe { multiply(instructions, Product { target, onto, left, right, scale: 0.3 }) }
    out
}

#[test]
fn all_instructions_give_the_same_bits_wherever_the_operands_lie() {
    for (rows, columns) in [(31, 96), (12, 32), (8, 64), (1, 32), (7, 77), (23, 63)] {
        let inner = 50usize;
        let (a, b, onto) = (normal(rows * inner, 1), normal(inner * columns, 2), normal(rows * columns, 3));
        let (a, b) = (View::new(&a, rows, inner), View::new(&b, inner, columns));
        let mut left = vec![f32::NAN; rows.next_multiple_of(TILE_ROWS) * inner];
        let mut right = vec![f32::NAN; columns.next_multiple_of(TILE_COLUMNS) * inner];
        pack_left(&mut left, a);
        pack_right(&mut right, b);
        let (left, right) = (Left::packed(&left, rows, inner), Right::packed(&right, columns, inner));
        let expected: Vec<f32> = (0..rows * columns)
            .map(|place| {
                let terms = (0..inner).map(|k| (a.row(place / columns, k, 1)[0], b.row(k, place % columns, 1)[0]));
                terms.fold(0.0f32, |sum, (x, y)| x.mul_add(y, sum)) * 0.3
            })
            .collect();
        let added: Vec<f32> = expected.iter().zip(&onto).map(|(x, y)| x + y).collect();
        for instructions in Instructions::all() {
            for left in [left, Left::of(a)] {
                for right in [Some(right), Right::of(b)].into_iter().flatten() {
                    assert_eq!(tiles(instructions, left, right, None), expected, "{instructions:?}");
                    let found = tiles(instructions, left, right, Some(&onto));
                    assert_close(&found, &added.iter().map(|x| f64::from(*x)).collect::<Vec<_>>());
                    assert_eq!(found, tiles(Instructions::best(), left, right, Some(&onto)), "{instructions:?}");
                }
            }
        }
    }
}

#[test]
fn all_instructions_pack_the_same_panels() {
    for (rows, inner) in [(32, 8), (77, 50), (12, 4), (13, 7), (5, 3), (1, 1), (40, 0), (0, 5)] {
        let values = normal(rows * (inner + 3), 1);
        let across = transposed(&values, rows, inner + 3);
        let view = View::strided(&values, rows, inner, inner + 3);
        let copied = View::strided(&across, inner, rows, rows);
        for instructions in Instructions::all() {
            let mut panels = [vec![f32::NAN; rows.next_multiple_of(32) * inner], Vec::new()];
            panels[1] = panels[0].clone();
            pack::<32>(instructions, &mut panels[0], view.transposed());
            pack::<32>(instructions, &mut panels[1], copied);
            for (place, value) in panels[0].iter().enumerate() {
                let (panel, index, row) = (place / (32 * inner), place / 32 % inner, place % 32);
                let expected = values.get((panel * 32 + row) * (inner + 3) + index).filter(|_| panel * 32 + row < rows);
                assert_eq!(*value, expected.copied().unwrap_or(0.0), "{instructions:?}, {rows} x {inner}");
            }
            assert_eq!(panels[0], panels[1], "{instructions:?}, {rows} x {inner}");
        }
    }
}

#[test]
fn parts_of_a_packed_operand_are_those_of_the_matrix() {
    let (rows, inner, columns) = (19, 500, 150);
    let (a, b) = (normal(rows * inner, 1), normal(columns * inner, 2));
    let (a, b) = (View::new(&a, rows, inner), View::new(&b, columns, inner).transposed());
    let mut packed = Packed::default();
    packed.pack(Form::Plain, View::new(&[1.0; 4], 2, 2));
    packed.pack(Form::Plain, b);
    for (first, last) in [(0, 150), (64, 150), (32, 77), (128, 129), (96, 96)] {
        for inner in [0..inner, 3..450, 7..7] {
            let mut found = vec![f32::NAN; rows * (last - first)];
            let mut expected = found.clone();
            let left = a.part(0..rows, inner.clone());
            let right = packed.operand().part(inner.clone(), first..last);
            packed_product(Form::Plain, &mut found, left, right, 2.0, Output::Overwrite);
            product(Form::Plain, &mut expected, left, b.part(inner, first..last), 2.0, Output::Overwrite);
            assert_eq!(found, expected);
        }
    }
}

#[test]
#[should_panic(expected = "whole panels before the part")]
fn a_packed_panel_is_not_divided() {
    let mut packed = Packed::default();
    packed.pack(Form::Plain, View::new(&[1.0; 128], 2, 64));
    packed.operand().part(0..2, 16..64);
}

/// Sizes at which operands are read in place, are copied, and have rows that share a cache set.
#[test]
fn products_of_whole_panels_are_right() {
    for (rows, inner, columns) in [(24, 64, 32), (128, 320, 64), (13, 1024, 288), (260, 1024, 1024)] {
        let (a, b) = (normal(rows * inner, 1), normal(inner * columns, 2));
        let expected = naive(&a, &b, rows, inner, columns);
        assert_close(&parallel_product(View::new(&a, rows, inner), View::new(&b, inner, columns)), &expected);
        let across = transposed(&a, rows, inner);
        let left = View::new(&across, inner, rows).transposed();
        assert_close(&parallel_product(left, View::new(&b, inner, columns)), &expected);
    }
}

#[test]
fn transposed_and_strided_views_read_the_right_elements() {
    let (a, b) = (normal(6 * 9, 1), normal(5 * 6, 2));
    let mut out = vec![0.0; 4 * 5];
    // Columns 2..6 of the 6 x 9 matrix, transposed, times the transpose of the 5 x 6 matrix.
    let left = View::strided(&a[2..], 6, 4, 9).transposed();
    product(Form::Plain, &mut out, left, View::new(&b, 5, 6).transposed(), 0.5, Output::Overwrite);
    for (i, j) in (0..4).flat_map(|i| (0..5).map(move |j| (i, j))) {
        let expected: f32 = (0..6).map(|k| a[k * 9 + 2 + i] * b[j * 6 + k]).sum::<f32>() * 0.5;
        assert!((out[i * 5 + j] - expected).abs() < 1e-5);
    }
}
