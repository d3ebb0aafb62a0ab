//! A Muon step over host slices. Products and sums are split by shape alone.

use super::gemm::{View, matmul};
use crate::cpu::simd::kernel;
use crate::cpu::thread_team;
use crate::ops::{MuonStep, sum_squares};
use crate::precision::Precision;

const CHUNK: usize = 1 << 14;

/// Updates a stack of matrices with `parts` rows each: `m = mu m + (1 - mu) g`, then
/// `p = (1 - lr wd) p - lr s O(mu m + (1 - mu) g)`, where `O` makes each matrix nearly orthogonal and `s` depends on
/// its shape.
///
/// # Panics
/// If the slices have different lengths, or the parts do not make up the parameter.
pub fn muon_update(param: &mut [f32], grad: &[f32], momentum: &mut [f32], parts: &[usize], step: MuonStep) {
    let (len, rows) = (param.len(), parts.iter().sum::<usize>());
    assert!(grad.len() == len && momentum.len() == len, "one gradient and one momentum per parameter");
    assert!(rows > 0 && len.is_multiple_of(rows), "the parts are all rows of the parameter");
    let columns = len / rows;
    let mut direction = vec![0.0; len];
    let factors = [step.momentum as f32, (f64::from(step.gradient_scale) * (1.0 - step.momentum)) as f32];
    let chunks = direction.chunks_mut(CHUNK).zip(grad.chunks(CHUNK)).zip(momentum.chunks_mut(CHUNK));
    thread_team::each(chunks, |((direction, grad), momentum)| nesterov(direction, grad, momentum, factors));
    let (mut param, mut direction) = (param, direction.as_mut_slice());
    for rows in parts {
        let (weights, matrix);
        (weights, param) = param.split_at_mut(rows * columns);
        (matrix, direction) = direction.split_at_mut(rows * columns);
        let update = orthogonalize(matrix, *rows, columns);
        let (kept, size) = (step.kept() as f32, step.step_size(*rows, columns) as f32);
        let chunks = weights.chunks_mut(CHUNK).zip(update.chunks(CHUNK));
        thread_team::each(chunks, |(weights, update)| subtract(weights, update, kept, size));
    }
}

/// Approximates `U V^T` of the singular value decomposition `x = U S V^T`: the Newton-Schulz iterations end with all
/// singular values between 0.7 and 1.2. Uses the smaller of the two Gram matrices.
fn orthogonalize(x: &mut [f32], rows: usize, columns: usize) -> Vec<f32> {
    let norm = sum_squares(x).sqrt().max(MuonStep::EPSILON);
    scale(x, (1.0 / norm) as f32);
    let mut x = x.to_vec();
    for _ in 0..MuonStep::ITERATIONS {
        let view = View::new(&x, rows, columns);
        let wide = rows <= columns;
        let gram = if wide {
            matmul(view, view.transposed(), Precision::F32)
        } else {
            matmul(view.transposed(), view, Precision::F32)
        };
        let side = rows.min(columns);
        let gram_view = View::new(&gram, side, side);
        let mut polynomial = matmul(gram_view, gram_view, Precision::F32);
        quintic(&mut polynomial, &gram, side);
        let polynomial = View::new(&polynomial, side, side);
        x = if wide { matmul(polynomial, view, Precision::F32) } else { matmul(view, polynomial, Precision::F32) };
    }
    x
}

kernel! {
    fn nesterov<'a>(direction: &'a mut [f32], grad: &'a [f32], momentum: &'a mut [f32], factors: [f32; 2]) -> () {
        let [decay, new] = factors;
        for ((direction, grad), momentum) in direction.iter_mut().zip(grad).zip(momentum.iter_mut()) {
            let grad = grad * new;
            *momentum = momentum.mul_add(decay, grad);
            *direction = momentum.mul_add(decay, grad);
        }
    }
}

kernel! {
    fn scale<'a>(x: &'a mut [f32], factor: f32) -> () {
        for x in x.iter_mut() {
            *x *= factor;
        }
    }
}

kernel! {
    /// `c A^2 + b A + a`, given `A^2` and `A`.
    fn quintic<'a>(squared: &'a mut [f32], gram: &'a [f32], side: usize) -> () {
        let [a, b, c] = MuonStep::COEFFICIENTS.map(|coefficient| coefficient as f32);
        for (squared, gram) in squared.iter_mut().zip(gram) {
            *squared = squared.mul_add(c, gram * b);
        }
        for diagonal in squared.iter_mut().step_by(side + 1) {
            *diagonal += a;
        }
    }
}

kernel! {
    fn subtract<'a>(weights: &'a mut [f32], update: &'a [f32], kept: f32, size: f32) -> () {
        for (weight, update) in weights.iter_mut().zip(update) {
            *weight = weight.mul_add(kept, -size * update);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::thread_team::with_threads;
    use stepwell_base::rng::Rng;

    fn normal(len: usize, seed: u64) -> Vec<f32> {
        let mut rng = Rng::new(seed);
        (0..len).map(|_| rng.normal() as f32).collect()
    }

    const STEP: MuonStep = MuonStep { learning_rate: 0.02, momentum: 0.9, weight_decay: 0.1, gradient_scale: 0.5 };

    /// `x x^T` of a wide result (`x^T x` of a tall one) has a diagonal near 1 and small values elsewhere.
    #[test]
    fn the_result_is_nearly_orthogonal() {
        for (rows, columns) in [(5, 40), (40, 5), (1, 9), (9, 1)] {
            let x = orthogonalize(&mut normal(rows * columns, 3), rows, columns);
            let (view, wide) = (View::new(&x, rows, columns), rows <= columns);
            let (a, b) = if wide { (view, view.transposed()) } else { (view.transposed(), view) };
            let side = rows.min(columns);
            for (index, value) in matmul(a, b, Precision::F32).iter().enumerate() {
                let on_diagonal = index % (side + 1) == 0;
                let fits = if on_diagonal { (0.4..1.6).contains(value) } else { value.abs() < 0.5 };
                assert!(fits, "{rows} x {columns}, element {index}: {value}");
            }
        }
    }

    #[test]
    fn a_gradient_of_zero_only_decays() {
        let mut param = vec![1.0; 6];
        muon_update(&mut param, &[0.0; 6], &mut [0.0; 6], &[2], STEP);
        assert!(param.iter().all(|x| (x - 0.998).abs() < 1e-6), "{param:?}");
    }

    /// Updating a stack equals updating its matrices one by one.
    #[test]
    fn matrices_of_a_stack_do_not_see_each_other() {
        let (columns, parts) = (7, [3, 9, 1]);
        let len = columns * 13;
        let (grad, start) = (normal(len, 1), normal(len, 2));
        let (mut stacked, mut momentum) = (start.clone(), normal(len, 4));
        let (mut single, mut single_momentum) = (start, momentum.clone());
        muon_update(&mut stacked, &grad, &mut momentum, &parts, STEP);
        let mut from = 0;
        for rows in parts {
            let range = from..from + rows * columns;
            from = range.end;
            muon_update(&mut single[range.clone()], &grad[range.clone()], &mut single_momentum[range], &[rows], STEP);
        }
        assert!(stacked == single && momentum == single_momentum);
    }

    #[test]
    fn threads_change_no_bit() {
        let len = 150 * 130;
        let step = || {
            let (mut param, mut momentum) = (normal(len, 5), normal(len, 6));
            muon_update(&mut param, &normal(len, 7), &mut momentum, &[50, 100], STEP);
            (param, momentum)
        };
        let one = with_threads(1, step);
        for threads in [2, 3, 7] {
            assert!(with_threads(threads, step) == one, "{threads} threads");
        }
    }
}
