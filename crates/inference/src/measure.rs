//! Rates of this machine, as bounds for what an engine can reach.

use std::hint::black_box;
use std::time::Instant;

use crate::cpu::{Instructions, LANES, kernel};
use crate::kernels::{Activations, Dtype, Input, Matrix, Quantised, Rows, Workers, product};

/// Bytes that all threads together read per second, of weights that do not fit into a cache.
pub fn bytes_per_second(threads: usize) -> f64 {
    const BYTES: usize = 1 << 28;
    let workers = workers(threads);
    let Ok(memory) = Matrix::pack(&workers, Dtype::F32, [BYTES / 4096, 1024], &Ones) else { return 0.0 };
    let seconds = fastest(|| {
        workers.team().each(0..memory.panels(), |panel| {
            black_box(sum(workers.instructions(), memory.panel_values(panel)));
        });
    });
    memory.bytes() as f64 / seconds
}

/// Multiplications of f32 that all threads together do per second in a large product.
pub fn products_per_second(threads: usize) -> f64 {
    const SIDE: usize = 1024;
    let workers = workers(threads);
    let Ok(matrix) = Matrix::pack(&workers, Dtype::F32, [SIDE, SIDE], &Ones) else { return 0.0 };
    let (mut left, mut out, bytes) = (Activations::default(), Activations::default(), Quantised::default());
    left.reshape(SIDE, SIDE);
    left.iter_mut().for_each(|row| row.fill(1.0));
    let seconds = fastest(|| product(&workers, &mut out, Input { values: &left, bytes: &bytes }, &matrix));
    (SIDE * SIDE * SIDE) as f64 / seconds
}

/// Seconds of the fastest of a few calls: other load makes them slower only.
fn fastest(mut work: impl FnMut()) -> f64 {
    let seconds = (0..5).map(|_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    });
    seconds.fold(f64::INFINITY, f64::min)
}

fn workers(threads: usize) -> Workers {
    Workers::new(threads, Instructions::best().unwrap_or(Instructions::Base))
}

struct Ones;

impl Rows for Ones {
    fn row_into(&self, _row: usize, out: &mut [f32]) {
        out.fill(1.0);
    }
}

kernel! {
    fn sum<'a>(values: &'a [f32]) -> f32 {
        let mut sums = [0.0f32; 4 * LANES];
        for block in values.as_chunks::<{ 4 * LANES }>().0 {
            for lane in 0..4 * LANES {
                sums[lane] += block[lane];
            }
        }
        sums.into_iter().sum()
    }
}
