//! Products on all threads with a right operand that is already packed.

use std::ops::Range;

use super::form::Form;
use super::operand::{Right, TILE_COLUMNS, TILE_ROWS};
use super::product::packed_product_into;
use super::{Output, Target, View};
use crate::cpu::thread_team;

/// Minimum multiplications per task: handing a task of this size to another thread costs about a tenth of its time.
const TASK: usize = 1 << 18;
/// Cost of reading an element of the right operand, in multiplications.
const READ: usize = 12;
/// Tasks per thread, so that none waits long for the last.
const TASKS_PER_THREAD: usize = 2;

/// `out = a b` or `out += a b`, row-major without gaps. The tasks depend on the number of threads but change no bit: an
/// element is summed in the same order in any task.
///
/// # Panics
/// If the shapes do not match.
#[expect(unsafe_code, reason = "tasks write different parts of the output")]
pub fn parallel_packed_product(out: &mut [f32], a: View<'_>, b: Right<'_>, output: Output) {
    let (rows, columns, inner) = (a.rows(), b.columns(), b.inner());
    assert_eq!(out.len(), rows * columns, "the output has one element per row and column");
    let target = Target::new(out, columns);
    // SAFETY: `out` is borrowed exclusively and has exactly the elements of the product; tasks write disjoint parts.
    let task = |part: Part| unsafe {
        let place = target.offset(part.rows.start, part.columns.start);
        let right = b.part(0..inner, part.columns.clone());
        packed_product_into(Form::Plain, place, a.part(part.rows, 0..inner), right, 1.0, output);
    };
    let most = thread_team::threads() * TASKS_PER_THREAD;
    let tasks = (inner * columns * rows.max(READ) / TASK).clamp(1, most);
    if tasks == 1 {
        return task(Part { rows: 0..rows, columns: 0..columns });
    }
    if rows > columns {
        thread_team::each(pieces(rows, tasks, TILE_ROWS), |rows| task(Part { rows, columns: 0..columns }));
    } else {
        thread_team::each(pieces(columns, tasks, TILE_COLUMNS), |columns| task(Part { rows: 0..rows, columns }));
    }
}

struct Part {
    rows: Range<usize>,
    columns: Range<usize>,
}

/// At most `count` ranges of whole tiles.
fn pieces(len: usize, count: usize, tile: usize) -> impl Iterator<Item = Range<usize>> + Send {
    let step = len.div_ceil(count).next_multiple_of(tile);
    (0..len.div_ceil(step)).map(move |piece| piece * step..len.min((piece + 1) * step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::thread_team::with_threads;
    use crate::ops::gemm::Packed;
    use stepwell_base::rng::Rng;

    /// Shapes that fill no tile; the last two are split into several tasks, by columns and by rows.
    #[test]
    fn a_row_has_the_same_bits_whatever_is_computed_beside_it() {
        let mut rng = Rng::new(5);
        let mut values = |count: usize| -> Vec<f32> { (0..count).map(|_| rng.normal() as f32).collect() };
        let shapes = [(1, 1, 16), (1, 7, 33), (4, 64, 40), (6, 131, 37), (3, 3, 5), (16, 515, 1030), (515, 70, 130)];
        for (rows, columns, width) in shapes {
            let (x, weight, start) = (values(rows * width), values(columns * width), values(rows * columns));
            let mut packed = Packed::default();
            packed.pack(Form::Plain, View::new(&weight, columns, width).transposed());
            for output in [Output::Overwrite, Output::Add] {
                let product = |rows: Range<usize>| {
                    let mut out = start[rows.start * columns..rows.end * columns].to_vec();
                    let a = View::new(&x, x.len() / width, width).part(rows, 0..width);
                    with_threads(2, || parallel_packed_product(&mut out, a, packed.operand(), output));
                    out
                };
                let found = product(0..rows);
                for (row, found) in found.chunks(columns).enumerate() {
                    assert_eq!(found, product(row..row + 1), "row {row} of {rows}, {columns} x {width}");
                    for (column, found) in found.iter().enumerate() {
                        let (x, weight) = (&x[row * width..][..width], &weight[column * width..][..width]);
                        let sum: f64 = x.iter().zip(weight).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                        let before = if output == Output::Add { start[row * columns + column] } else { 0.0 };
                        let expected = sum + f64::from(before);
                        assert!((f64::from(*found) - expected).abs() < 1e-3, "{found} is not {expected}");
                    }
                }
            }
        }
    }
}
