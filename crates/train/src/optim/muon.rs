//! Muon, one parameter at a time.

use burn::tensor::Tensor;

use super::buffers::Buffers;
use crate::model::shared::host_slice;
use crate::ops::{MuonStep, muon_update};

pub type Momentum = Buffers<1>;

/// Takes one step on the host. The parameter is a stack of matrices with `parts` rows each.
pub fn muon_step<const D: usize>(
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
    (Tensor::from_data(data, &device), Buffers::host([momentum]))
}

#[cfg(feature = "flex")]
#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::model::weights::{self, NamedTensor};

    const STEP: MuonStep = MuonStep { learning_rate: 2e-2, momentum: 0.95, weight_decay: 0.1, gradient_scale: 1.0 };

    fn golden() -> BTreeMap<String, NamedTensor> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/golden/muon.safetensors");
        weights::load(&std::fs::read(path).unwrap()).unwrap()
    }

    fn matrix(values: &[f32], shape: [usize; 2]) -> Tensor<2> {
        Tensor::from_data(TensorData::new(values.to_vec(), shape), &Device::flex())
    }

    /// Compares ten steps with PyTorch's Muon in f64.
    #[test]
    fn it_follows_pytorch() {
        let golden = golden();
        for name in ["tall", "wide", "square"] {
            let part = |part: &str| &golden[&format!("{name}.{part}")];
            let initial = part("initial");
            let shape = [initial.shape[0], initial.shape[1]];
            let size = initial.data.len();
            let (mut tensor, mut momentum) = (matrix(&initial.data, shape), Buffers::zeros(size));
            for (grad, expected) in part("grads").data.chunks(size).zip(part("params").data.chunks(size)) {
                (tensor, momentum) = muon_step(tensor, matrix(grad, shape), momentum, &shape[..1], STEP);
                let data = tensor.clone().into_data();
                for (got, expected) in host_slice(&data).iter().zip(expected) {
                    assert!((got - expected).abs() < 2e-6, "{name}: {got} is not {expected}");
                }
            }
        }
    }
}
