use burn::tensor::{Device, Tensor};

use super::*;
use crate::train::ops::AdamWStep;

#[derive(Module, Debug)]
struct Pair {
    matrix: Param<Tensor<2>>,
    vector: Param<Tensor<1>>,
}

fn pair(device: &Device) -> Pair {
    Pair {
        matrix: Param::from_data([[0.5f32, -1.0, 2.0], [3.0, 0.25, -0.125]], device),
        vector: Param::from_data([1.0f32, -2.0], device),
    }
}

fn values(model: &Pair) -> (Vec<f32>, Vec<f32>) {
    let read = |data: TensorData| host_slice(&data).to_vec();
    (read(model.matrix.val().inner().into_data()), read(model.vector.val().inner().into_data()))
}

/// The gradient of `sum(matrix^2) + sum(vector^3)`.
fn gradients(model: &Pair) -> GradientSum {
    let loss = model.matrix.val().powi_scalar(2).sum() + model.vector.val().powi_scalar(3).sum();
    let mut sum = GradientSum::default();
    sum.add(loss.backward(), model);
    sum
}

fn train(optimizer: &mut AdamW, mut model: Pair, steps: usize) -> Pair {
    for _ in 0..steps {
        let mut gradients = gradients(&model);
        let norm = gradients.norm(&model);
        model = optimizer.step(model, gradients, 0.01, norm, 1.0);
    }
    model
}

#[test]
fn the_norm_covers_all_parameters() {
    let model = pair(&Device::flex().autodiff());
    let (matrix, vector) = values(&model);
    let squares = matrix.iter().map(|x| (2.0 * f64::from(*x)).powi(2)).sum::<f64>()
        + vector.iter().map(|x| (3.0 * f64::from(*x).powi(2)).powi(2)).sum::<f64>();
    assert!((gradients(&model).norm(&model) - squares.sqrt()).abs() < 1e-6);
}

/// The formula of Loshchilov and Hutter in f64, with clipping to 1 and no decay for the vector.
#[test]
fn five_steps_follow_the_formula() {
    let mut reference: Vec<f64> = vec![0.5, -1.0, 2.0, 3.0, 0.25, -0.125, 1.0, -2.0];
    let (mut first, mut second) = ([0.0f64; 8], [0.0f64; 8]);
    for t in 1..=5 {
        let gradient: Vec<f64> =
            reference.iter().enumerate().map(|(i, x)| if i < 6 { 2.0 * x } else { 3.0 * x * x }).collect();
        let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        let scale = (1.0 / (norm + 1e-6)).min(1.0);
        for i in 0..8 {
            let g = gradient[i] * scale;
            first[i] = 0.9 * first[i] + 0.1 * g;
            second[i] = 0.95 * second[i] + 0.05 * g * g;
            let decay = if i < 6 { 0.1 } else { 0.0 };
            let (m, v) = (first[i] / (1.0 - 0.9f64.powi(t)), second[i] / (1.0 - 0.95f64.powi(t)));
            reference[i] -= 0.01 * (decay * reference[i] + m / (v.sqrt() + 1e-8));
        }
    }
    let (matrix, vector) = values(&train(&mut AdamW::new(AdamWConfig::default()), pair(&Device::flex().autodiff()), 5));
    for (got, wanted) in matrix.iter().chain(&vector).zip(&reference) {
        assert!((f64::from(*got) - wanted).abs() < 1e-6, "{got} is not {wanted}");
    }
}

#[test]
fn moments_survive_their_file_bit_for_bit() {
    let device = Device::flex().autodiff();
    let whole = train(&mut AdamW::new(AdamWConfig::default()), pair(&device), 6);

    let mut optimizer = AdamW::new(AdamWConfig::default());
    let half = train(&mut optimizer, pair(&device), 3);
    let names: Vec<String> = optimizer.to_named().into_iter().map(|tensor| tensor.name).collect();
    assert_eq!(names, ["matrix.exp_avg", "matrix.exp_avg_sq", "vector.exp_avg", "vector.exp_avg_sq"]);
    let file = crate::train::weights::save(&optimizer.to_named());
    let moments = crate::train::weights::load(&file).unwrap();
    let mut again = AdamW::from_named(AdamWConfig::default(), 3, &half, moments).unwrap();
    assert_eq!(values(&train(&mut again, half, 3)), values(&whole));
}

#[test]
fn moments_of_another_model_are_refused() {
    let device = Device::flex().autodiff();
    let mut optimizer = AdamW::new(AdamWConfig::default());
    let model = train(&mut optimizer, pair(&device), 1);
    let named = |change: &dyn Fn(&mut Vec<NamedTensor>)| {
        let mut tensors = optimizer.to_named();
        change(&mut tensors);
        tensors.into_iter().map(|tensor| (tensor.name.clone(), tensor)).collect::<BTreeMap<_, _>>()
    };
    let load = |tensors| AdamW::from_named(AdamWConfig::default(), 1, &model, tensors).err();
    let missing = named(&|tensors| drop(tensors.remove(3)));
    assert_eq!(load(missing), Some(OptimizerError::Missing("vector.exp_avg_sq".to_owned())));
    let foreign = named(&|tensors| {
        let other = NamedTensor { name: "other".to_owned(), ..tensors[0].clone() };
        tensors.push(other);
    });
    assert_eq!(load(foreign), Some(OptimizerError::Unexpected("other".to_owned())));
    let reshaped = named(&|tensors| tensors[0].shape = vec![3, 2]);
    assert!(matches!(load(reshaped), Some(OptimizerError::Shape { .. })));
}

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
    let moments = || Values::Host { first: vec![0.1, -0.2, 0.3, 0.4], second: vec![0.01, 0.02, 0.03, 0.04] };
    let (host, host_moments) = host_step(tensor(), gradient(), moments(), step);
    let (portable, device_moments) = device_step(tensor(), gradient(), moments(), step);
    let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6);
    assert!(close(host_slice(&host.into_data()), host_slice(&portable.into_data())));
    let ((m, v), (device_m, device_v)) = (host_moments.to_host(), device_moments.to_host());
    assert!(close(&m, &device_m) && close(&v, &device_v));
}
