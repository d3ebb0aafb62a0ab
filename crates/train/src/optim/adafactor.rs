//! Adafactor, one parameter at a time.

use burn::tensor::Tensor;

use super::buffers::Buffers;
use crate::model::shared::host_slice;
use crate::ops::{AdafactorStep, adafactor_matrix, adafactor_vector};

/// Second moments of a parameter.
pub enum Factored {
    /// Of a stack of matrices: one number per row, and per matrix one per column.
    Matrix { row: Buffers<1>, column: Buffers<1> },
    /// One number per element.
    Vector(Buffers<1>),
}

impl Factored {
    /// Moments before the first step. `parts` are the row counts of a stack of matrices with `shape`.
    pub fn zeros(shape: &[usize], parts: &[usize]) -> Self {
        match *shape {
            [rows, columns] => {
                Factored::Matrix { row: Buffers::zeros(rows), column: Buffers::zeros(parts.len() * columns) }
            }
            _ => Factored::Vector(Buffers::zeros(shape.iter().product())),
        }
    }
}

/// Takes one step on the host. The parameter is a stack of matrices with `parts` rows each, or a vector.
pub fn adafactor_step<const D: usize>(
    tensor: Tensor<D>,
    gradient: Tensor<D>,
    moments: Factored,
    parts: &[usize],
    step: AdafactorStep,
) -> (Tensor<D>, Factored) {
    let device = tensor.device();
    let mut data = tensor.into_data();
    let gradient = gradient.into_data();
    let gradient = host_slice(&gradient);
    let parameter: &mut [f32] = data.as_mut_slice().expect("parameters are f32");
    let moments = match moments {
        Factored::Vector(values) => {
            let [mut values] = values.into_host();
            adafactor_vector(parameter, gradient, &mut values, step);
            Factored::Vector(Buffers::host([values]))
        }
        Factored::Matrix { row, column } => {
            let ([mut row], [mut column]) = (row.into_host(), column.into_host());
            let columns = column.len() / parts.len();
            let mut first = 0;
            for (rows, column) in parts.iter().zip(column.chunks_mut(columns)) {
                let range = first * columns..(first + rows) * columns;
                let row = &mut row[first..first + rows];
                adafactor_matrix(&mut parameter[range.clone()], &gradient[range], row, column, step);
                first += rows;
            }
            Factored::Matrix { row: Buffers::host([row]), column: Buffers::host([column]) }
        }
    };
    (Tensor::from_data(data, &device), moments)
}

#[cfg(feature = "flex")]
#[cfg(test)]
mod tests {
    use std::path::Path;

    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::model::weights;

    /// Compares ten steps with `transformers.Adafactor` in f64: matrices of three shapes, a vector, a stack of two
    /// matrices as one parameter, with a scaled and with a plain learning rate.
    #[test]
    fn it_follows_transformers() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/golden/adafactor.safetensors");
        let golden = weights::load(&std::fs::read(path).unwrap()).unwrap();
        let numbers = |name: &str| golden[name].data.iter().map(|value| f64::from(*value)).collect::<Vec<_>>();
        for (name, parts) in
            [("tall", [9].as_slice()), ("wide", &[4]), ("square", &[7]), ("vector", &[]), ("stack", &[3, 5])]
        {
            for (mode, smallest_scale) in [("plain", None), ("scaled", Some(1e-3))] {
                let part = |part: &str| &golden[&format!("{name}.{part}")];
                let shape = part("initial").shape.clone();
                let size = part("initial").data.len();
                let tensor = |values: &[f32]| {
                    let columns = size / shape[0];
                    let shape = if parts.is_empty() { [1, size] } else { [shape[0], columns] };
                    Tensor::<2>::from_data(TensorData::new(values.to_vec(), shape), &Device::flex())
                };
                let mut moments = Factored::zeros(&shape, parts);
                let mut parameter = tensor(&part("initial").data);
                let expected = &golden[&format!("{name}.{mode}")];
                let steps = part("grads").data.chunks(size).zip(expected.data.chunks(size));
                for (number, (grad, expected)) in (1..).zip(steps) {
                    let step = AdafactorStep {
                        learning_rate: 2e-2,
                        beta2: 1.0 - f64::from(number).powf(-0.8),
                        epsilon: 1e-30,
                        clip_threshold: 1.0,
                        smallest_scale,
                        weight_decay: 0.1,
                        gradient_scale: 1.0,
                    };
                    (parameter, moments) = adafactor_step(parameter, tensor(grad), moments, parts, step);
                    let data = parameter.clone().into_data();
                    for (got, expected) in host_slice(&data).iter().zip(expected) {
                        assert!((got - expected).abs() < 2e-6, "{name} {mode} {number}: {got} is not {expected}");
                    }
                }
                assert!(numbers(&format!("{name}.{mode}")).iter().all(|value| value.is_finite()));
            }
        }
    }
}
