//! Products against their formula, and their bits against each other.

use proptest::prelude::*;
use stepwell_base::rng::{Rng, derive_seed};

use super::*;
use crate::cpu::Instructions;

/// A matrix of random weights.
struct Random(u64);

impl Rows for Random {
    fn row_into(&self, row: usize, out: &mut [f32]) {
        let mut rng = Rng::new(derive_seed(self.0, "row", row as u64));
        out.iter_mut().for_each(|value| *value = rng.normal() as f32);
    }
}

const DTYPES: [Dtype; 3] = [Dtype::F32, Dtype::Bf16, Dtype::Q8_0];

fn inputs(rows: usize, width: usize) -> Activations {
    let mut values = Activations::default();
    values.reshape(rows, width);
    for (row, values) in values.iter_mut().enumerate() {
        Random(99).row_into(row, values);
    }
    values
}

fn multiplied(workers: &Workers, values: &Activations, matrix: &Matrix) -> Vec<Vec<f32>> {
    let (mut bytes, mut out) = (Quantised::default(), Activations::default());
    bytes.round(workers, values);
    product(workers, &mut out, Input { values, bytes: &bytes }, matrix);
    out.iter().map(<[f32]>::to_vec).collect()
}

#[test]
fn a_matrix_keeps_its_rows() {
    let workers = Workers::new(2, Instructions::all()[0]);
    for (outputs, inputs) in [(1, 1), (40, 33), (70, 64)] {
        for dtype in DTYPES {
            let matrix = Matrix::pack(&workers, dtype, [outputs, inputs], &Random(3)).unwrap();
            for row in 0..outputs {
                let (mut expected, mut found) = (vec![0.0; inputs], vec![0.0; inputs]);
                Random(3).row_into(row, &mut expected);
                matrix.row_into(row, &mut found);
                for (found, expected) in found.iter().zip(expected) {
                    let tolerance =
                        [0.0, expected.abs() / 256.0, 0.02][DTYPES.iter().position(|d| *d == dtype).unwrap()];
                    assert!((found - expected).abs() <= tolerance, "{dtype:?}: {found} is not {expected}");
                }
            }
        }
    }
}

#[test]
fn a_product_is_that_of_the_formula() {
    let workers = Workers::new(2, Instructions::all()[0]);
    for (rows, outputs, width) in [(1, 5, 7), (3, 70, 96), (30, 33, 1100)] {
        let values = inputs(rows, width);
        for (dtype, tolerance) in [(Dtype::F32, 1e-5), (Dtype::Bf16, 1e-5), (Dtype::Q8_0, 4e-2)] {
            let matrix = Matrix::pack(&workers, dtype, [outputs, width], &Random(5)).unwrap();
            let found = multiplied(&workers, &values, &matrix);
            for (row, found) in found.iter().enumerate() {
                for (output, found) in found.iter().enumerate() {
                    let mut weights = vec![0.0; width];
                    matrix.row_into(output, &mut weights);
                    let products = values.row(row).iter().zip(&weights).map(|(x, w)| f64::from(*x) * f64::from(*w));
                    let expected: f64 = products.sum();
                    let error = (f64::from(*found) - expected).abs() / (width as f64).sqrt();
                    assert!(error < tolerance, "{dtype:?} {rows} {outputs} {width}: {found} is not {expected}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// A row has the same bits alone and in any company, with any number of threads and any instructions.
    #[test]
    fn a_row_has_equal_bits_in_any_company(
        rows in 1..40usize, outputs in 1..80usize, width in 1..1500usize, threads in 1..4usize, first in 0..40usize,
    ) {
        let best = Workers::new(1, Instructions::all()[0]);
        let values = inputs(rows, width);
        let row = first % rows;
        let mut alone = inputs(1, width);
        alone.row_mut(0).copy_from_slice(values.row(row));
        for dtype in DTYPES {
            let matrix = Matrix::pack(&best, dtype, [outputs, width], &Random(5)).unwrap();
            let expected = multiplied(&best, &alone, &matrix);
            for instructions in Instructions::all() {
                let workers = Workers::new(threads, instructions);
                let matrix = Matrix::pack(&workers, dtype, [outputs, width], &Random(5)).unwrap();
                let found = multiplied(&workers, &values, &matrix);
                prop_assert_eq!(&found[row], &expected[0], "{:?} {:?}", dtype, instructions);
            }
        }
    }
}

#[test]
fn a_value_that_is_not_finite_spoils_its_row_alone() {
    let workers = Workers::new(1, Instructions::all()[0]);
    for dtype in DTYPES {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let matrix = Matrix::pack(&workers, dtype, [40, 100], &Random(5)).unwrap();
            let mut values = inputs(3, 100);
            let before = multiplied(&workers, &values, &matrix);
            values.row_mut(1)[50] = bad;
            let after = multiplied(&workers, &values, &matrix);
            assert_eq!([&after[0], &after[2]], [&before[0], &before[2]]);
            assert!(after[1].iter().all(|value| !value.is_finite()), "{dtype:?} {bad}");
        }
    }
}

/// Rounding to a 127th of the largest of 32 normal numbers has an error of 0.0054 on average (root of the mean square).
#[test]
fn rounded_activations_have_the_error_of_rounding_and_no_more() {
    let workers = Workers::new(1, Instructions::all()[0]);
    let (rows, outputs, width) = (40, 64, 960);
    let values = inputs(rows, width);
    let matrix = Matrix::pack(&workers, Dtype::Q8_0, [outputs, width], &Random(5)).unwrap();
    let found = multiplied(&workers, &values, &matrix);
    let mut squares = 0.0;
    for (row, found) in found.iter().enumerate() {
        for (output, found) in found.iter().enumerate() {
            let mut weights = vec![0.0; width];
            matrix.row_into(output, &mut weights);
            let products = values.row(row).iter().zip(&weights).map(|(x, w)| f64::from(*x) * f64::from(*w));
            squares += (f64::from(*found) - products.sum::<f64>()).powi(2) / width as f64;
        }
    }
    let error = (squares / (rows * outputs) as f64).sqrt();
    assert!((0.004..0.0065).contains(&error), "{error}");
}

/// The same for weights.
#[test]
fn rounded_weights_have_the_error_of_rounding_and_no_more() {
    let workers = Workers::new(1, Instructions::all()[0]);
    let matrix = Matrix::pack(&workers, Dtype::Q8_0, [64, 960], &Random(5)).unwrap();
    let mut squares = 0.0;
    for row in 0..64 {
        let (mut expected, mut found) = (vec![0.0; 960], vec![0.0; 960]);
        Random(5).row_into(row, &mut expected);
        matrix.row_into(row, &mut found);
        squares += found.iter().zip(&expected).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
    }
    let error = (squares / (64.0 * 960.0)).sqrt();
    assert!((0.004..0.0065).contains(&error), "{error}");
}
