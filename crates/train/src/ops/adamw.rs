//! AdamW over flat slices, and the sum of squares for the global gradient norm.
//!
//! Both split their input into chunks of a fixed size, so the bits of the result do not depend on the number of
//! threads.

use crate::cpu::simd::{LANES, kernel};
use crate::cpu::thread_team;

const CHUNK: usize = 1 << 14;

/// Factors of an AdamW step that are equal for all elements of a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWStep {
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the square root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay; 0 for vectors.
    pub weight_decay: f64,
    /// Factor applied to the gradient first: the clipping factor.
    pub gradient_scale: f32,
    /// Step number, starting at 1; used for bias correction of the moments.
    pub step: u64,
}

/// One step of AdamW with decoupled weight decay (Loshchilov and Hutter 2019), as PyTorch computes it:
/// `p -= lr * wd * p`, then `p -= lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)`.
///
/// # Panics
/// If the slices have different lengths, or `step` is 0.
pub fn adamw_update(param: &mut [f32], grad: &[f32], m: &mut [f32], v: &mut [f32], step: AdamWStep) {
    let len = param.len();
    assert!(grad.len() == len && m.len() == len && v.len() == len, "one gradient and two moments per parameter");
    assert!(step.step > 0, "steps are numbered from 1");
    let factors = step.factors();
    let (values, moments) =
        (param.chunks_mut(CHUNK).zip(grad.chunks(CHUNK)), m.chunks_mut(CHUNK).zip(v.chunks_mut(CHUNK)));
    thread_team::each(values.zip(moments), |((param, grad), (m, v))| update_chunk(param, grad, m, v, factors));
}

/// Sum of squares, accumulated in f64.
pub fn sum_squares(values: &[f32]) -> f64 {
    thread_team::map(values.chunks(CHUNK), squares_of_chunk).into_iter().sum()
}

/// Factors of a step, rounded to f32 once, as PyTorch does.
#[derive(Clone, Copy)]
pub(super) struct Factors {
    pub decay: f32,
    pub step_size: f32,
    pub root_correction: f32,
    pub beta1: f32,
    pub one_minus_beta1: f32,
    pub beta2: f32,
    pub one_minus_beta2: f32,
    pub epsilon: f32,
    pub gradient_scale: f32,
}

impl AdamWStep {
    pub(super) fn factors(self) -> Factors {
        let correction = |beta: f64| 1.0 - beta.powf(self.step as f64);
        Factors {
            decay: (1.0 - self.learning_rate * self.weight_decay) as f32,
            step_size: (self.learning_rate / correction(self.beta1)) as f32,
            root_correction: (1.0 / correction(self.beta2).sqrt()) as f32,
            beta1: self.beta1 as f32,
            one_minus_beta1: (1.0 - self.beta1) as f32,
            beta2: self.beta2 as f32,
            one_minus_beta2: (1.0 - self.beta2) as f32,
            epsilon: self.epsilon as f32,
            gradient_scale: self.gradient_scale,
        }
    }
}

kernel! {
    fn update_chunk<'a>(param: &'a mut [f32], grad: &'a [f32], m: &'a mut [f32], v: &'a mut [f32], factors: Factors) -> () {
        for (((p, g), m), v) in param.iter_mut().zip(grad).zip(m.iter_mut()).zip(v.iter_mut()) {
            let g = *g * factors.gradient_scale;
            *m = m.mul_add(factors.beta1, g * factors.one_minus_beta1);
            *v = v.mul_add(factors.beta2, g * g * factors.one_minus_beta2);
            let denominator = v.sqrt().mul_add(factors.root_correction, factors.epsilon);
            *p = p.mul_add(factors.decay, -factors.step_size * (*m / denominator));
        }
    }
}

kernel! {
    fn squares_of_chunk<'a>(chunk: &'a [f32]) -> f64 {
        let mut lanes = [0.0f64; LANES];
        let (blocks, rest) = chunk.as_chunks::<LANES>();
        for block in blocks {
            for lane in 0..LANES {
                let x = f64::from(block[lane]);
                lanes[lane] = x.mul_add(x, lanes[lane]);
            }
        }
        for (lane, x) in rest.iter().enumerate() {
            lanes[lane] += f64::from(*x) * f64::from(*x);
        }
        let mut total = 0.0;
        for lane in lanes {
            total += lane;
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stepwell_base::rng::Rng;

    fn normal(len: usize, seed: u64) -> Vec<f32> {
        let mut rng = Rng::new(seed);
        (0..len).map(|_| rng.normal() as f32).collect()
    }

    fn step(number: u64) -> AdamWStep {
        AdamWStep {
            learning_rate: 2e-3,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            weight_decay: 0.1,
            gradient_scale: 0.5,
            step: number,
        }
    }

    #[test]
    fn ten_steps_follow_the_formula_in_f64() {
        let len = 2 * CHUNK + 13;
        let mut param = normal(len, 1);
        let (mut m, mut v) = (vec![0.0; len], vec![0.0; len]);
        let mut expected: Vec<f64> = param.iter().map(|x| f64::from(*x)).collect();
        let (mut first, mut second) = (vec![0.0f64; len], vec![0.0f64; len]);
        for number in 1..=10 {
            let grad = normal(len, 1 + number);
            adamw_update(&mut param, &grad, &mut m, &mut v, step(number));
            for i in 0..len {
                let g = f64::from(grad[i]) * 0.5;
                first[i] = 0.9 * first[i] + 0.1 * g;
                second[i] = 0.95 * second[i] + 0.05 * g * g;
                let mean = first[i] / (1.0 - 0.9f64.powi(number as i32));
                let root = (second[i] / (1.0 - 0.95f64.powi(number as i32))).sqrt();
                expected[i] -= 2e-3 * (0.1 * expected[i] + mean / (root + 1e-8));
            }
        }
        for (x, y) in param.iter().zip(&expected) {
            assert!((f64::from(*x) - y).abs() < 1e-6 * y.abs().max(1.0), "{x} is not {y}");
        }
    }

    #[test]
    fn the_sum_of_squares_is_exact_to_f64() {
        let values = normal(3 * CHUNK + 5, 4);
        let expected: f64 = values.iter().map(|x| f64::from(*x).powi(2)).sum();
        assert!((sum_squares(&values) / expected - 1.0).abs() < 1e-12);
        assert_eq!(sum_squares(&[]), 0.0);
        assert_eq!(sum_squares(&[3.0, 4.0]), 25.0);
    }

    #[test]
    fn nan_in_the_gradient_is_not_hidden() {
        assert!(sum_squares(&[1.0, f32::NAN]).is_nan());
    }
}
