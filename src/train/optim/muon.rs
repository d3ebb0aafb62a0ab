//! Muon on the host for flex and on the device elsewhere.

use burn::tensor::Tensor;

use super::buffers::Buffers;
#[cfg(feature = "flex")]
use super::gradients::host_slice;
use crate::train::device::is_flex;
use crate::train::ops::MuonStep;
#[cfg(feature = "flex")]
use crate::train::ops::muon_update;

/// The momentum of a parameter.
pub type Momentum = Buffers<1>;

/// One step of a parameter that is a stack of matrices with `parts` rows each.
pub fn muon_step<const D: usize>(
    tensor: Tensor<D>,
    gradient: Tensor<D>,
    momentum: Momentum,
    parts: &[usize],
    step: MuonStep,
) -> (Tensor<D>, Momentum) {
    match is_flex(&tensor.device()) {
        #[cfg(feature = "flex")]
        true => host_step(tensor, gradient, momentum, parts, step),
        _ => device_step(tensor, gradient, momentum, parts, step),
    }
}

#[cfg(feature = "flex")]
fn host_step<const D: usize>(
    tensor: Tensor<D>,
    gradient: Tensor<D>,
    momentum: Momentum,
    parts: &[usize],
    step: MuonStep,
) -> (Tensor<D>, Momentum) {
    let device = tensor.device();
    let [mut momentum] = momentum.into_host();
    let mut data = tensor.into_data();
    let gradient = gradient.into_data();
    let parameter = data.as_mut_slice().expect("parameters are f32");
    muon_update(parameter, host_slice(&gradient), &mut momentum, parts, step);
    (Tensor::from_data(data, &device), Buffers::Host([momentum]))
}

/// The same formula as [`muon_update`], as tensor operations.
///
/// [`muon_update`]: crate::train::ops::muon_update
fn device_step<const D: usize>(
    tensor: Tensor<D>,
    gradient: Tensor<D>,
    momentum: Momentum,
    parts: &[usize],
    step: MuonStep,
) -> (Tensor<D>, Momentum) {
    let (shape, length) = (tensor.shape(), tensor.shape().num_elements());
    let rows: usize = parts.iter().sum();
    let columns = length / rows;
    let [momentum] = momentum.into_device(&tensor.device());
    let new = gradient.reshape([length]) * (f64::from(step.gradient_scale) * (1.0 - step.momentum));
    let momentum = momentum * step.momentum + new.clone();
    let direction: Tensor<2> = (momentum.clone() * step.momentum + new).reshape([rows, columns]);
    let mut from = 0;
    let updates = parts.iter().map(|rows| {
        let part = direction.clone().slice([from..from + rows, 0..columns]);
        from += rows;
        orthogonal(part) * step.step_size(*rows, columns)
    });
    let update = Tensor::cat(updates.collect(), 0);
    let kept = tensor.reshape([rows, columns]) * step.kept();
    ((kept - update).reshape(shape), Buffers::Device(Box::new([momentum])))
}

/// As `orthogonalize` of the host.
fn orthogonal(x: Tensor<2>) -> Tensor<2> {
    let [rows, columns] = x.dims();
    let [a, b, c] = MuonStep::COEFFICIENTS;
    // Row by row, because whole sums may use atomics.
    let norm = x.clone().square().sum_dim(1).transpose().sum_dim(1).sqrt().clamp_min(MuonStep::EPSILON);
    let mut x = x / norm;
    let identity: Tensor<2> = Tensor::eye(rows.min(columns), &x.device());
    for _ in 0..MuonStep::ITERATIONS {
        let (transposed, wide) = (x.clone().transpose(), rows <= columns);
        let gram = if wide { x.clone().matmul(transposed) } else { transposed.matmul(x.clone()) };
        let polynomial = gram.clone().matmul(gram.clone()) * c + gram * b + identity.clone() * a;
        x = if wide { polynomial.matmul(x) } else { x.matmul(polynomial) };
    }
    x
}

#[cfg(feature = "flex")]
#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::train::weights::{self, NamedTensor};

    type Step = fn(Tensor<2>, Tensor<2>, Momentum, &[usize], MuonStep) -> (Tensor<2>, Momentum);
    const STEP: MuonStep = MuonStep { learning_rate: 2e-2, momentum: 0.95, weight_decay: 0.1, gradient_scale: 1.0 };

    fn golden() -> BTreeMap<String, NamedTensor> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/golden/muon.safetensors");
        weights::load(&std::fs::read(path).unwrap()).unwrap()
    }

    fn matrix(values: &[f32], shape: [usize; 2]) -> Tensor<2> {
        Tensor::from_data(TensorData::new(values.to_vec(), shape), &Device::flex())
    }

    /// PyTorch's Muon in f64, ten steps.
    #[test]
    fn both_paths_follow_pytorch() {
        let golden = golden();
        for name in ["tall", "wide", "square"] {
            let part = |part: &str| &golden[&format!("{name}.{part}")];
            let initial = part("initial");
            let shape = [initial.shape[0], initial.shape[1]];
            let size = initial.data.len();
            for step in [host_step as Step, device_step as Step] {
                let (mut tensor, mut momentum) = (matrix(&initial.data, shape), Buffers::zeros(size));
                for (grad, expected) in part("grads").data.chunks(size).zip(part("params").data.chunks(size)) {
                    (tensor, momentum) = step(tensor, matrix(grad, shape), momentum, &shape[..1], STEP);
                    let data = tensor.clone().into_data();
                    for (got, expected) in host_slice(&data).iter().zip(expected) {
                        assert!((got - expected).abs() < 2e-6, "{name}: {got} is not {expected}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_device_path_agrees_with_the_host_path_on_stacks() {
        let golden = golden();
        let values = &golden["square.grads"].data;
        let (parts, shape) = ([3, 9, 2], [14, 5]);
        let step = MuonStep { gradient_scale: 0.5, ..STEP };
        let stepped = |path: Step| {
            let momentum = Buffers::Host([values[70..140].to_vec()]);
            let (weights, grad) = (matrix(&values[..70], shape), matrix(&values[140..210], shape));
            let (weights, momentum) = path(weights, grad, momentum, &parts, step);
            let [momentum] = momentum.to_host();
            [host_slice(&weights.into_data()).to_vec(), momentum]
        };
        let (host, device) = (stepped(host_step), stepped(device_step));
        for (host, device) in host.iter().flatten().zip(device.iter().flatten()) {
            assert!((host - device).abs() < 2e-6, "{host} is not {device}");
        }
    }
}
