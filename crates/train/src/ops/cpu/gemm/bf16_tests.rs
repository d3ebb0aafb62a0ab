//! Products of operands rounded to bf16, in each form of copies.

use super::form::Form;
use super::operand::{Left, Right, TILE_COLUMNS, TILE_INNER};
use super::parallel::{parallel_product, parallel_product_add, parallel_product_onto};
use super::{Output, Packed, View, bf16, packed_product};
#[cfg(target_arch = "x86_64")]
use crate::cpu::simd::Instructions;
use crate::cpu::thread_team::with_threads;
use stepwell_base::rng::Rng;

/// Rows, inner indices and columns: odd numbers, several blocks of inner indices, and both rows and columns split into
/// tasks.
const SHAPES: [[usize; 3]; 13] = [
    [1, 7, 5],
    [300, 33, 401],
    [65, 1031, 97],
    [64, 3, 1],
    [5, 1, 4],
    [1, 1, 1],
    [12, 385, 32],
    [29, 3001, 400],
    [400, 1153, 29],
    [96, 64, 64],
    [70, 40, 2100],
    [2100, 33, 65],
    [3, 0, 4],
];

fn normal(len: usize, seed: u64) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    (0..len).map(|_| rng.normal() as f32).collect()
}

fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect()
}

/// Both operands, row-major and column-major.
struct Operands {
    shape: [usize; 3],
    values: [Vec<f32>; 4],
}

impl Operands {
    fn of(shape: [usize; 3], left: Vec<f32>, right: Vec<f32>) -> Self {
        let [rows, inner, columns] = shape;
        let (across, down) = (transposed(&left, rows, inner), transposed(&right, inner, columns));
        Operands { shape, values: [left, right, across, down] }
    }

    fn random(shape: [usize; 3]) -> Self {
        let [rows, inner, columns] = shape;
        Operands::of(shape, normal(rows * inner, 1), normal(inner * columns, 2))
    }

    fn rounded(&self) -> Self {
        let mut values = self.values.clone();
        values.iter_mut().for_each(|values| bf16::round(values));
        Operands { shape: self.shape, values }
    }

    fn views(&self) -> [(View<'_>, View<'_>); 4] {
        let [rows, inner, columns] = self.shape;
        let [left, right, across, down] = &self.values;
        let left = [View::new(left, rows, inner), View::new(across, inner, rows).transposed()];
        let right = [View::new(right, inner, columns), View::new(down, columns, inner).transposed()];
        [(left[0], right[0]), (left[0], right[1]), (left[1], right[0]), (left[1], right[1])]
    }

    /// Product in f64, for operands that are rounded already.
    fn oracle(&self) -> Vec<f64> {
        let [rows, inner, columns] = self.shape;
        let exact = |values: &Vec<f32>| values.iter().map(|value| f64::from(*value)).collect::<Vec<f64>>();
        let (left, right) = (exact(&self.values[0]), exact(&self.values[1]));
        let element = |row: usize, column: usize| -> f64 {
            (0..inner).map(|k| left[row * inner + k] * right[k * columns + column]).sum()
        };
        (0..rows * columns).map(|place| element(place / columns, place % columns)).collect()
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn forms() -> Vec<Form> {
    #[cfg(target_arch = "x86_64")]
    if Instructions::best().has_tiles() {
        return vec![Form::Rounded, Form::Amx];
    }
    eprintln!("skipped for tile registers: this processor has none");
    vec![Form::Rounded]
}

/// Adds a block of inner indices to an element, in the order of `form`.
fn add_block(form: Form, sum: f32, block: impl Iterator<Item = (f32, f32)> + Clone) -> f32 {
    if form == Form::Rounded {
        return sum + block.fold(0.0, |sum: f32, (x, y)| x.mul_add(y, sum));
    }
    let pairs: Vec<(f32, f32)> = block.collect();
    pairs.chunks(TILE_INNER).fold(sum, |sum, tile| {
        let chain = |odd| tile.iter().skip(odd).step_by(2).fold(0.0f32, |sum, (x, y)| x.mul_add(*y, sum));
        sum + (chain(0) + chain(1))
    })
}

/// `onto + a b` element by element; the operands must be rounded already.
fn in_order(form: Form, onto: &[f32], a: View<'_>, b: View<'_>) -> Vec<f32> {
    let element = |view: View<'_>, row: usize, column: usize| {
        let (down, across) = view.strides();
        view.data()[row * down + column * across]
    };
    let blocks = form.inner_blocks(a.columns());
    let sum = |place: usize| {
        let (row, column) = (place / b.columns(), place % b.columns());
        blocks.clone().fold(onto[place], |sum, block| {
            add_block(form, sum, block.map(|k| (element(a, row, k), element(b, k, column))))
        })
    };
    (0..a.rows() * b.columns()).map(sum).collect()
}

#[test]
fn products_are_those_of_rounded_operands_for_odd_shapes_however_they_lie() {
    for shape in SHAPES {
        let operands = Operands::random(shape);
        let rounded = operands.rounded();
        let oracle = rounded.oracle();
        let residual = normal(oracle.len(), 3);
        for form in forms() {
            let ordered = [vec![0.0; oracle.len()], residual.clone()]
                .map(|onto| in_order(form, &onto, rounded.views()[0].0, rounded.views()[0].1));
            for (a, b) in operands.views() {
                let found = parallel_product(a, b, form);
                for (x, y) in found.iter().zip(&oracle) {
                    assert!(
                        (f64::from(*x) - y).abs() < 2e-5 * y.abs().max(20.0),
                        "{form:?}, {shape:?}: {x} is not {y}"
                    );
                }
                assert_eq!(found, ordered[0], "{form:?}, {shape:?}: the order of the sums");
                assert_eq!(parallel_product_onto(&residual, a, b, form), ordered[1], "{form:?}, {shape:?}");
                let mut added = residual.clone();
                parallel_product_add(&mut added, a, b, form);
                assert_eq!(added, ordered[1], "{form:?}, {shape:?}");
            }
        }
    }
}

/// Multiplies parts of a copy on one thread, with and without a scale.
#[test]
fn parts_of_packed_operands_are_multiplied() {
    let [rows, inner, columns] = [45, 500, 70];
    let operands = Operands::random([rows, inner, columns]);
    let rounded = operands.rounded();
    for form in forms() {
        for ((a, b), (rounded_a, rounded_b)) in operands.views().into_iter().zip(rounded.views()) {
            let mut packed = Packed::default();
            packed.pack(form, b);
            for (inner, columns) in [(0..inner, 0..columns), (64..450, 32..70), (32..500, 64..65), (0..31, 0..32)] {
                let (a, rounded_a) = (a.part(0..rows, inner.clone()), rounded_a.part(0..rows, inner.clone()));
                let (b, rounded_b) =
                    (b.part(inner.clone(), columns.clone()), rounded_b.part(inner.clone(), columns.clone()));
                let start = normal(rows * columns.len(), 5);
                for (scale, output) in
                    [(1.0, Output::Overwrite), (1.0, Output::Add), (0.3, Output::Overwrite), (0.3, Output::Add)]
                {
                    let onto = if output == Output::Add { start.clone() } else { vec![0.0; start.len()] };
                    let product = in_order(form, &vec![0.0; start.len()], rounded_a, rounded_b);
                    let mut found = [start.clone(), start.clone()];
                    packed_product(form, &mut found[0], a, packed.part(inner.clone(), columns.clone()), scale, output);
                    super::product(form, &mut found[1], a, b, scale, output);
                    for (x, (product, onto)) in found[0].iter().zip(product.iter().zip(&onto)) {
                        assert!((x - product.mul_add(scale, *onto)).abs() < 1e-4, "{form:?}, {inner:?} x {columns:?}");
                    }
                    assert_eq!(found[0], found[1], "{form:?}, {inner:?} x {columns:?}");
                }
            }
        }
    }
}

#[test]
fn threads_change_no_bit() {
    for (shape, form) in SHAPES.into_iter().flat_map(|shape| forms().into_iter().map(move |form| (shape, form))) {
        let operands = Operands::random(shape);
        for (a, b) in operands.views() {
            let with = |threads| with_threads(threads, || bits(&parallel_product(a, b, form)));
            let one = with(1);
            assert!([2, 3, 7].into_iter().all(|threads| with(threads) == one), "{form:?}, {shape:?}");
        }
    }
}

/// Rounding to 0, infinity and NaN agrees in tiles.
#[test]
fn numbers_out_of_range_are_the_same_in_each_form() {
    let special = [f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 1e-40, -1e-40, f32::MIN_POSITIVE, 0.0, -0.0, f32::NAN];
    let shape = [special.len(), 1, special.len()];
    let operands = Operands::of(shape, special.to_vec(), special.to_vec());
    for form in forms().into_iter().filter(|form| *form != Form::Rounded) {
        for (a, b) in operands.views() {
            let rounded = parallel_product(a, b, Form::Rounded);
            for (x, y) in parallel_product(a, b, form).iter().zip(&rounded) {
                assert!(x == y || x.is_nan() && y.is_nan(), "{form:?}: {x} is not {y}");
            }
        }
    }
}

/// Models the instruction for one pair on each side, the upper half first.
fn add_products(sum: f32, left: f32, right: f32) -> f32 {
    let halves = |pair: f32| [pair.to_bits() & 0xFFFF_0000, pair.to_bits() << 16].map(f32::from_bits);
    let ([left, left_odd], [right, right_odd]) = (halves(left), halves(right));
    left_odd.mul_add(right_odd, left.mul_add(right, sum))
}

/// Computes a product element by element from copies of its operands in pairs.
fn product_of_pairs(copies: [&[f32]; 2], left: Left<'_>, right: Right<'_>) -> Vec<f32> {
    let place = |copy: &[f32], address: *const f32| (address.addr() - copy.as_ptr().addr()) / size_of::<f32>();
    let element = |row: usize, column: usize| {
        let (from, step, _) = left.at(row);
        let (x, y) = (place(copies[0], from), place(copies[1], right.at(column)));
        let add = |sum, index| add_products(sum, copies[0][x + index * step], copies[1][y + index * right.step()]);
        (0..left.inner()).fold(0.0, add)
    };
    (0..left.rows() * right.columns()).map(|place| element(place / right.columns(), place % right.columns())).collect()
}

/// Checks the pair copies on processors without the instruction too.
#[test]
fn pairs_hold_the_rounded_operands_in_the_order_of_the_sums() {
    for shape in [[1, 7, 5], [30, 33, 41], [13, 50, 77], [12, 64, 32], [24, 1, 33]] {
        let operands = Operands::random(shape);
        for (a, b) in operands.views() {
            let mut left = vec![f32::NAN; Form::Pairs.left_len(a, a.rows(), b.columns(), a.columns())];
            let mut right = vec![f32::NAN; Form::Pairs.right_len(b.columns(), b.rows())];
            Form::Pairs.copy_left(&mut left, a);
            Form::Pairs.copy_right(&mut right, b);
            let (rows, depth) = (Form::Pairs.left(&left, a), Form::Pairs.depth(b.rows()));
            let found = product_of_pairs([&left, &right], rows, Right::packed(&right, b.columns(), depth));
            assert_eq!(found, parallel_product(a, b, Form::Rounded), "{shape:?}");
            // The padding of the last panel is 0, because a tile multiplies it too.
            let used = b.columns() % TILE_COLUMNS;
            let last = &right[b.columns() / TILE_COLUMNS * TILE_COLUMNS * depth..];
            assert!(last.chunks(TILE_COLUMNS).all(|row| row[used..].iter().all(|value| *value == 0.0)), "{shape:?}");
        }
    }
}

/// Tests that run the instruction.
#[cfg(all(unix, target_arch = "x86_64"))]
mod instruction {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;
    use crate::cpu::isa;
    use crate::ops::cpu::gemm::microkernel::pair_products::are_measured_faster;

    /// Runs in the child process that `instruction_and_multiply_adds_give_the_same_bits` starts.
    #[test]
    #[ignore = "a child process of another test, with instructions that this machine may lack"]
    fn child_with_the_instruction() {
        for shape in SHAPES {
            let operands = Operands::random(shape);
            for (a, b) in operands.views() {
                let [pairs, singles] = [Form::Pairs, Form::Rounded].map(|form| bits(&parallel_product(a, b, form)));
                assert_eq!(pairs, singles, "{shape:?}");
            }
        }
        let operands = Operands::random([45, 500, 70]);
        for (a, b) in operands.views() {
            for (inner, columns) in [(64..450, 32..70), (32..499, 64..65)] {
                let a = a.part(0..45, inner.clone());
                for (scale, output) in [(1.0, Output::Overwrite), (0.3, Output::Add)] {
                    let [pairs, singles] = [Form::Pairs, Form::Rounded].map(|form| {
                        let mut packed = Packed::default();
                        packed.pack(form, b);
                        let mut out = normal(45 * columns.len(), 5);
                        packed_product(form, &mut out, a, packed.part(inner.clone(), columns.clone()), scale, output);
                        bits(&out)
                    });
                    assert_eq!(pairs, singles, "{inner:?} x {columns:?}");
                }
            }
        }
        // No speed is asserted; this only checks that it can be measured.
        eprintln!("pairs are measured to be faster: {}", are_measured_faster());
        // Sums that overflow and inputs that underflow. Only sums below 2^-126 would differ.
        let shape = [40, 61, 70];
        let special =
            [f32::INFINITY, -f32::INFINITY, f32::MAX, 1e-40, -1e-40, f32::MIN_POSITIVE, 0.0, -0.0, 1e20, -1e20];
        let mut values = [normal(40 * 61, 3), normal(61 * 70, 4)];
        for (index, value) in values.iter_mut().flatten().enumerate().filter(|(index, _)| index % 7 == 3) {
            *value = special[index / 7 % special.len()];
        }
        let [left, right] = values;
        let operands = Operands::of(shape, left, right);
        for (a, b) in operands.views() {
            let [pairs, singles] = [Form::Pairs, Form::Rounded].map(|form| parallel_product(a, b, form));
            for (x, y) in pairs.iter().zip(&singles) {
                assert!(x.to_bits() == y.to_bits() || x.is_nan() && y.is_nan(), "{x} is not {y}");
            }
        }
    }

    #[test]
    fn instruction_and_multiply_adds_give_the_same_bits() {
        let name = concat!(module_path!(), "::child_with_the_instruction");
        let (_, name) = name.split_once("::").expect("a path below the crate");
        let program = std::env::current_exe().expect("this test has a program");
        let mut child = Command::new(program);
        child.args(["--exact", name, "--ignored", "--test-threads", "1"]).env(isa::VARIABLE, "force:avx512bf16");
        let output = child.output().expect("the program starts again");
        let text = String::from_utf8_lossy(&output.stdout);
        // SIGILL.
        if output.status.signal() == Some(4) {
            eprintln!("skipped: this processor cannot multiply pairs of bf16");
            return;
        }
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    }
}
