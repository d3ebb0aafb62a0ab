//! AdamW with decoupled weight decay, on the host for flex and on the device elsewhere.

use burn::tensor::Tensor;

use super::buffers::Buffers;
use super::gradients::host_slice;
use crate::train::device::is_flex;
use crate::train::ops::{AdamWStep, adamw_update};

/// Both moments of a parameter.
pub type Moments = Buffers<2>;

/// One step of one parameter.
pub fn adamw_step<const D: usize>(
    tensor: Tensor<D>,
    gradient: Tensor<D>,
    moments: Moments,
    step: AdamWStep,
) -> (Tensor<D>, Moments) {
    if is_flex(&tensor.device()) {
        host_step(tensor, gradient, moments, step)
    } else {
        device_step(tensor, gradient, moments, step)
    }
}

fn host_step<const D: usize>(
    tensor: Tensor<D>,
    gradient: Tensor<D>,
    moments: Moments,
    step: AdamWStep,
) -> (Tensor<D>, Moments) {
    let device = tensor.device();
    let [mut first, mut second] = moments.into_host();
    let mut data = tensor.into_data();
    let gradient = gradient.into_data();
    let parameter = data.as_mut_slice().expect("parameters are f32");
    adamw_update(parameter, host_slice(&gradient), &mut first, &mut second, step);
    (Tensor::from_data(data, &device), Buffers::Host([first, second]))
}

/// The same formula as [`adamw_update`], as tensor operations.
fn device_step<const D: usize>(
    tensor: Tensor<D>,
    gradient: Tensor<D>,
    moments: Moments,
    step: AdamWStep,
) -> (Tensor<D>, Moments) {
    let (shape, length) = (tensor.shape(), tensor.shape().num_elements());
    let [first, second] = moments.into_device(&tensor.device());
    let correction = |beta: f64| 1.0 - beta.powf(step.step as f64);
    let gradient = gradient.reshape([length]) * step.gradient_scale;
    let first = first * step.beta1 + gradient.clone() * (1.0 - step.beta1);
    let second = second * step.beta2 + gradient.square() * (1.0 - step.beta2);
    let denominator = second.clone().sqrt() * (1.0 / correction(step.beta2).sqrt()) + step.epsilon;
    let update = first.clone() / denominator * (step.learning_rate / correction(step.beta1));
    let kept = tensor.reshape([length]) * (1.0 - step.learning_rate * step.weight_decay);
    ((kept - update).reshape(shape), Buffers::Device(Box::new([first, second])))
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    /// The portable formula, which other devices use, against the fused one.
    #[test]
    fn the_device_path_agrees_with_the_host_path() {
        let device = Device::flex();
        let step = AdamWStep {
            learning_rate: 0.01,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            weight_decay: 0.1,
            gradient_scale: 0.5,
            step: 3,
        };
        let tensor = || Tensor::<2>::from_data([[0.5f32, -1.0], [2.0, 3.0]], &device);
        let gradient = || Tensor::<2>::from_data([[0.1f32, 0.2], [-0.3, 0.0]], &device);
        let moments = || Buffers::Host([vec![0.1, -0.2, 0.3, 0.4], vec![0.01, 0.02, 0.03, 0.04]]);
        let (host, host_moments) = host_step(tensor(), gradient(), moments(), step);
        let (portable, device_moments) = device_step(tensor(), gradient(), moments(), step);
        let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(close(host_slice(&host.into_data()), host_slice(&portable.into_data())));
        for (host, device) in host_moments.to_host().iter().zip(&device_moments.to_host()) {
            assert!(close(host, device));
        }
    }
}
