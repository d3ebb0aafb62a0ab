//! Helpers for tests that compare two implementations of the operations.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};

use super::{AttentionContext, HeadLayout, RopeTable};
use stepwell_base::rng::Rng;

pub fn normal(len: usize, seed: u64) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    (0..len).map(|_| rng.normal() as f32).collect()
}

/// A tensor of standard normal numbers that requires a gradient.
pub fn leaf<const D: usize>(shape: [usize; D], seed: u64, device: &Device) -> Tensor<D> {
    let data = TensorData::new(normal(shape.iter().product(), seed), shape);
    Tensor::from_data(data, device).require_grad()
}

pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("f32 values")
}

/// Output and gradients of `operation` for normal inputs. The output is weighted so that no two elements have the same
/// gradient.
pub fn results<const M: usize, const V: usize, const D: usize>(
    device: &Device,
    matrices: [[usize; 2]; M],
    vectors: [usize; V],
    operation: impl Fn([Tensor<2>; M], [Tensor<1>; V]) -> Tensor<D>,
) -> Vec<Vec<f32>> {
    let mut seed = 0;
    let mut next = || {
        seed += 1;
        seed
    };
    let matrices = matrices.map(|shape| leaf(shape, next(), device));
    let vectors = vectors.map(|len| leaf([len], next(), device));
    let output = operation(matrices.clone(), vectors.clone());
    let weights = TensorData::new(normal(output.shape().num_elements(), 99), output.dims());
    // `backward` seeds with ones, so this is the gradient of the sum.
    let gradients = (output.clone() * Tensor::<D>::from_data(weights, device)).backward();
    let mut all = vec![values(output)];
    all.extend(matrices.iter().map(|tensor| values(tensor.grad(&gradients).expect("a gradient"))));
    all.extend(vectors.iter().map(|tensor| values(tensor.grad(&gradients).expect("a gradient"))));
    all
}

/// Asserts that the largest difference relative to the largest value stays below 1e-4.
pub fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1e-3f32, |scale, x| scale.max(x.abs()));
    for (index, (x, y)) in found.iter().zip(expected).enumerate() {
        assert!((x - y).abs() <= 1e-4 * scale, "{what}, element {index}: {x} is not {y} (scale {scale})");
    }
}

pub fn assert_all_close(found: &[Vec<f32>], expected: &[Vec<f32>], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_close(found, expected, &format!("{what}, result {index}"));
    }
}

/// Sequences whose documents start at these positions and at position 0.
pub fn context(batch: usize, seq: usize, layout: HeadLayout, documents: &[usize]) -> AttentionContext {
    let rope = Arc::new(RopeTable::new(seq + 3, layout.head_dim, 10_000.0));
    let start = |token: usize| documents.iter().copied().filter(|start| *start <= token).max().unwrap_or(0);
    let starts: Vec<u32> = (0..batch * seq).map(|token| start(token % seq) as u32).collect();
    AttentionContext::new(batch, seq, layout, starts, rope)
}
